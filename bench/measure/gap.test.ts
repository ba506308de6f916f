// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { BenchError } from '../errors.js';
import { gapRows, spanning, type Gap } from './gap.js';

describe('the gap of a failover', () => {
  it('is the longest wait that reaches behind the fault', () => {
    const waits: [number, number][] = [
      [100, 400],
      [500, 2],
      [502, 60],
      [562, 3],
      [565, 210],
      [5000, 900],
    ];
    expect(spanning(waits, 503)).to.deep.equal([565, 210]);
    expect(spanning(waits.slice(0, 4), 503)).to.deep.equal([502, 60]);
  });

  it('is not one that was over before, or began long after', () => {
    expect(() => spanning([[100, 50]], 503)).to.throw(BenchError);
    expect(() => spanning([[5000, 50]], 503)).to.throw(BenchError);
  });

  it('tells lost requests from those that the backup had', () => {
    const parts = { detectMs: 5, claimMs: 1, goLiveMs: 2, replyMs: null };
    const gaps: Gap[] = [
      { gapMs: 12, sentMs: -1, retransmits: 0, ...parts },
      { gapMs: 230, sentMs: 2, retransmits: 1, ...parts },
    ];
    const values = gapRows(gaps).map((row) => row.values);
    expect(values).to.deep.equal([[12], [230], [2], [-1], [5, 5], [1, 1], [2, 2], []]);
  });
});
