// SPDX-License-Identifier: Apache-2.0
// A device's timer that is not part of its state: a clone's would expire at another moment than its source's, and replay
// would stop for ever (native/shim/timer.c). The one that KubeVirt's machine has takes a minute; here it takes a second.
import { join } from 'node:path';
import { expect } from 'chai';
import { REPO } from '../../cli/local/layout.js';
import { failoverCycle, replies } from './support/cycle.js';
import { suiteWithPair } from './support/suite.js';

/** Several periods, and the time after which a backup that stands still is found out. */
const REPLIES = 10_000;
const RERUN = 'npx mocha --timeout 600000 build/test/qemu/timers.test.js';

describe('a timer that only one side has', () => {
  const suite = suiteWithPair('timers', RERUN, {
    qemuBinary: join(REPO, 'test/qemu/support/short-rng-period.sh'),
  });

  it('does not stop replay, on the first clone and on the clone of a clone', async () => {
    const { pair } = suite;
    const client = pair.client(0);
    try {
      for (const epochs of ['first', 'after a failover']) {
        const { epoch } = await pair.protect();
        await replies(client, REPLIES);
        const after = await pair.status();
        expect(after.status, epochs).to.equal('Protected');
        expect(after.epoch, epochs).to.equal(epoch);
        await failoverCycle(pair, client);
      }
      const { acknowledged, found } = await client.finish();
      expect(found).to.equal(acknowledged);
    } finally {
      client.kill();
    }
  });
});
