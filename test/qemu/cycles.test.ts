// SPDX-License-Identifier: Apache-2.0
// Clone → SIGKILL of the primary's host → go live → clone, again and again, under a client that counts over one
// connection, on the machine that KubeVirt makes. `npm run test:cycles` runs more of them and writes a report.
import { expect } from 'chai';
import { failoverCycle, replies } from './support/cycle.js';
import { processesOf } from './support/leftovers.js';
import { suiteWithPair } from './support/suite.js';

const CYCLES = 50;
const TIMEOUT_MS = 1_500_000;
const RERUN = 'npx mocha build/test/qemu/cycles.test.js';

describe('failover cycles on the full machine', () => {
  const suite = suiteWithPair('cycles', RERUN);

  it(`${CYCLES} of ${CYCLES}: every increment exact, consoles bit-identical, one QEMU a host`, async function () {
    this.timeout(TIMEOUT_MS);
    const { pair } = suite;
    const client = pair.client();
    try {
      await replies(client, 100);
      let { epoch } = await pair.protect();
      for (let n = 1; n <= CYCLES; n++) {
        const cycle = await failoverCycle(pair, client);
        expect(cycle.epoch, `epoch after cycle ${n}`).to.be.greaterThan(epoch ?? 0);
        const qemus = (await processesOf(pair.pair.layout)).filter(({ command }) =>
          /qemu-system/.test(command),
        );
        expect(qemus, `QEMUs after cycle ${n}`).to.have.length(2);
        epoch = cycle.epoch;
      }
      const { acknowledged, found } = await client.finish();
      expect(found).to.equal(acknowledged);
    } finally {
      client.kill();
    }
  });
});
