// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { Fifo } from './fifo.js';

describe('fifo', () => {
  it('is a queue', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.integer()), { maxLength: 3_000, size: 'max' }), (steps) => {
        const fifo = new Fifo<number>();
        const model: number[] = [];
        for (const step of steps) {
          if (step === null) expect(fifo.shift()).to.equal(model.shift());
          else {
            fifo.push(step);
            model.push(step);
          }
        }
        expect(fifo.length).to.equal(model.length);
        expect(fifo.peek()).to.equal(model[0]);
        expect(fifo.last()).to.equal(model.at(-1));
        expect([...fifo]).to.deep.equal(model);
      }),
      { numRuns: 5 },
    );
  });
});
