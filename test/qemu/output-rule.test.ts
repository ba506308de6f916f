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
const FEW_KILLS = 5;
const LEAKY_KILLS_MAX = 5;
/** The spare host of three takes the next backup at once, while the dead one boots. */
const HOSTS = 3;
const support = (name: string): string => join(REPO, 'build/test/qemu/support', name);

async function withWitness(suite: Suite, body: (witness: Witness) => Promise<void>): Promise<void> {
  const witness = new Witness(suite.pair.pair.layout);
  try {
    await body(witness);
  } finally {
    witness.end();
  }
}

/** Where the NIC's outputs leave is in the log already: with or without marker there is none (docs/output-rule.md). */
async function kill({ pair }: Suite, witness: Witness, times: number): Promise<void> {
  const random = new Prng(SEED);
  await pair.protect();
  for (let n = 0; n < times; n++) {
    const { points } = await killAtReply(pair, witness, random);
    expect(points.bottomHalves, 'output points').to.be.greaterThan(0);
    expect(points.marked, 'of them marked').to.equal(0);
  }
}

describe('the output rule', () => {
  describe('as it is', () => {
    const suite = suiteWithPair('outrule', RERUN, { hosts: HOSTS });

    it(`holds in ${KILLS} of ${KILLS} kills at the sight of a reply (seed ${SEED})`, () =>
      withWitness(suite, (witness) => kill(suite, witness, KILLS)));
  });

  describe('without the marker of outputs', () => {
    before('every QEMU leaves it out', () => {
      process.env['LOCKSTEP_MARKER'] = '0';
    });
    const suite = suiteWithPair('outbare', RERUN, { hosts: HOSTS });
    after(() => {
      delete process.env['LOCKSTEP_MARKER'];
    });

    it(`holds in ${FEW_KILLS} of ${FEW_KILLS} kills: this machine's outputs do not need it`, () =>
      withWitness(suite, (witness) => kill(suite, witness, FEW_KILLS)));
  });

  describe('on a channel that delays everything by 20 ms', () => {
    const suite = suiteWithPair('outslow', RERUN, { hosts: HOSTS, sidecarMain: support('slow-sidecar.js') });

    it(`holds in ${FEW_KILLS} of ${FEW_KILLS} kills`, () =>
      withWitness(suite, (witness) => kill(suite, witness, FEW_KILLS)));
  });

  describe('with the gate left open, on the same channel', () => {
    const suite = suiteWithPair('outleak', RERUN, { hosts: HOSTS, sidecarMain: support('leaky-sidecar.js') });

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
