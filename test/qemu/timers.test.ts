// SPDX-License-Identifier: Apache-2.0
// A device's timer that is not part of its state: a clone's would expire at another moment than its source's, and replay
// would stop for ever (native/shim/timer.c). The one that KubeVirt's machine has takes a minute; here it takes a second.
import { join } from 'node:path';
import { expect } from 'chai';
import { REPO } from '../../cli/local/layout.js';
import { failoverCycle } from './support/cycle.js';
import { guestUptime } from './support/serial.js';
import { suiteWithPair } from './support/suite.js';
import { until } from './support/wait.js';

/** Guest time: ten periods (short-rng-period.sh), and more than a backup may stand still before it is dropped. */
const GUEST_S = 10;
const GUEST_MS_MAX = 120_000;
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
        const backup = await pair.backup();
        const from = await until('the backup writes to its console', GUEST_MS_MAX, () => guestUptime(backup));
        await until(`the backup replays ${GUEST_S} s of guest time`, GUEST_MS_MAX, async () => {
          const now = await pair.status();
          expect(`${now.status}, epoch ${now.epoch ?? '-'}`, epochs).to.equal(
            `Protected, epoch ${epoch ?? '-'}`,
          );
          await client.window(); // every reply so far was right
          const uptime = (await guestUptime(backup)) ?? from;
          return uptime - from >= GUEST_S ? true : undefined;
        });
        await failoverCycle(pair, client);
      }
      const { acknowledged, found } = await client.finish();
      expect(found).to.equal(acknowledged);
    } finally {
      client.kill();
    }
  });
});
