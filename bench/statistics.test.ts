// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { median, percentile } from './statistics.js';

const values = fc.array(fc.double({ noNaN: true, min: -1e9, max: 1e9 }), {
  minLength: 1,
  maxLength: 200,
});

describe('bench statistics', () => {
  it('takes the middle value, or the mean of the middle two', () => {
    expect(median([3, 1, 2])).to.equal(2);
    expect(median([4, 1, 2, 3])).to.equal(2.5);
    expect(median([7])).to.equal(7);
  });

  it('takes percentiles by nearest rank', () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(percentile(hundred, 99)).to.equal(99);
    expect(percentile(hundred, 100)).to.equal(100);
    expect(percentile(hundred, 1)).to.equal(1);
    expect(percentile([5, 6], 50)).to.equal(5);
  });

  it('refuses what has no answer', () => {
    expect(() => median([])).to.throw(RangeError);
    expect(() => percentile([], 50)).to.throw(RangeError);
    expect(() => percentile([1], 0)).to.throw(RangeError);
    expect(() => percentile([1], 101)).to.throw(RangeError);
  });

  it('gives values in order, whatever was measured, and leaves the measurements alone', () => {
    fc.assert(
      fc.property(values, (measured) => {
        const before = [...measured];
        const [middle, p99, worst] = [median(measured), percentile(measured, 99), percentile(measured, 100)];
        expect(measured).to.deep.equal(before);
        expect(worst).to.equal(Math.max(...measured));
        expect(Math.min(...measured) <= middle && middle <= worst).to.equal(true);
        expect(measured).to.include(p99);
      }),
    );
  });
});
