// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { BackoffError, backoffMs, checkedBackoff } from './backoff.js';

const limits = { firstMs: 100, maxMs: 5_000 };

describe('backoff', () => {
  it('doubles up to its maximum', () => {
    const waits = [1, 2, 3, 6, 7, 5_000].map((failures) => backoffMs(failures, limits, () => 0));
    expect(waits).to.deep.equal([100, 200, 400, 3_200, 5_000, 5_000]);
  });

  it('leaves half of it to chance', () => {
    const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), chance, (failures, drawn) => {
        const wholeMs = backoffMs(failures, limits, () => 0);
        expect(backoffMs(failures, limits, () => drawn)).to.be.within(wholeMs / 2, wholeMs);
      }),
    );
  });

  for (const [firstMs, maxMs] of [
    [0, 1],
    [2, 1],
    [1, Infinity],
    [Number.NaN, 1],
  ] as const)
    it(`refuses ${firstMs} to ${maxMs} ms`, () => {
      expect(() => checkedBackoff({ firstMs, maxMs })).to.throw(BackoffError, /must hold/);
    });
});
