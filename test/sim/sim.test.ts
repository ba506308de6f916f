// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { MUTANTS, originalFolder, withMutant } from './mutants.js';
import { loadProduct } from './product.js';
import { runSeed } from './run.js';

const SEEDS = 100;
/** Enough for the rarest one of the list, at the measured rates in docs/protocol.md. */
const MUTANT_SEEDS_MAX = 3_000;

describe('simulator', function () {
  this.timeout(120_000);

  it(`holds in ${SEEDS} seeds`, async () => {
    const product = await loadProduct(originalFolder());
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      expect(runSeed(product, seed).violation, `npm run sim -- --seed ${seed}`).to.equal(null);
    }
  });

  it('repeats a seed exactly', async () => {
    const product = await loadProduct(originalFolder());
    const traces = [0, 1].map(() => {
      const lines: string[] = [];
      runSeed(product, 7, (line) => lines.push(line));
      return lines;
    });
    expect(traces[0]).to.have.length.above(50);
    expect(traces[0]).to.deep.equal(traces[1]);
  });

  for (const mutant of MUTANTS) {
    it(`notices when not true: ${mutant.without}`, () =>
      withMutant(mutant, async (folder) => {
        const product = await loadProduct(folder);
        for (let seed = 1; seed <= MUTANT_SEEDS_MAX; seed += 1) {
          if (runSeed(product, seed).violation !== null) return;
        }
        expect.fail(`mutant ${mutant.name} was not caught by ${MUTANT_SEEDS_MAX} seeds`);
      }));
  }
});
