// SPDX-License-Identifier: Apache-2.0
// The output rule, from outside: whatever was seen stays true, though the primary dies at the very instant at which it is
// seen. `npm run test:output-rule` kills more often and writes a report.
import { join } from 'node:path';
import { expect } from 'chai';
import { REPO } from '../../cli/local/layout.js';
import { Prng } from '../sim/prng.js';
import { killAtReply } from './support/output-rule.js';
import { suiteWithPair, type Suite } from './support/suite.js';
import { Contradiction, Witness } from './support/witness.js';

const RERUN = 'npx mocha --timeout 600000 build/test/qemu/output-rule.test.js';
const SEED = 20101;
const KILLS = 20;
const SLOW_KILLS = 5;
const LEAKY_KILLS_MAX = 5;
const support = (name: string): string => join(REPO, 'build/test/qemu/support', name);

async function withWitness(suite: Suite, body: (witness: Witness) => Promise<void>): Promise<void> {
  const witness = new Witness(suite.pair.pair.layout);
  try {
    await body(witness);
  } finally {
    witness.end();
  }
}

describe('the output rule', () => {
  describe('as it is', () => {
    const suite = suiteWithPair('outrule', RERUN);

    it(`holds in ${KILLS} of ${KILLS} kills at the sight of a reply (seed ${SEED})`, () =>
      withWitness(suite, async (witness) => {
        const random = new Prng(SEED);
        await suite.pair.protect();
        for (let n = 0; n < KILLS; n++) await killAtReply(suite.pair, witness, random);
      }));
  });

  describe('on a channel that delays everything by 20 ms', () => {
    const suite = suiteWithPair('outslow', RERUN, { sidecarMain: support('slow-sidecar.js') });

    it(`holds in ${SLOW_KILLS} of ${SLOW_KILLS} kills`, () =>
      withWitness(suite, async (witness) => {
        const random = new Prng(SEED);
        await suite.pair.protect();
        for (let n = 0; n < SLOW_KILLS; n++) await killAtReply(suite.pair, witness, random);
      }));
  });

  describe('with the gate left open, on the same channel', () => {
    const suite = suiteWithPair('outleak', RERUN, { sidecarMain: support('leaky-sidecar.js') });

    it('is seen broken: this test would notice', () =>
      withWitness(suite, async (witness) => {
        const random = new Prng(SEED);
        await suite.pair.protect();
        let noticed: unknown;
        for (let n = 0; n < LEAKY_KILLS_MAX && noticed === undefined; n++) {
          await killAtReply(suite.pair, witness, random).catch((error: unknown) => {
            noticed = error;
          });
        }
        expect(noticed).to.be.instanceOf(Contradiction);
      }));
  });
});
