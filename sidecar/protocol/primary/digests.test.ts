// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { DIGEST_BYTES } from './digest-queue.js';
import { DigestLog } from './digests.js';
import { makeLimits } from '../limits.js';

const LIMITS = makeLimits({
  heldOutputsMax: 2,
  digestsMax: 4,
  digestBytesMax: 10 * DIGEST_BYTES,
  holdSlackOutputs: 3,
});

function hashOf(n: number): string {
  return n.toString(16).padStart(32, '0');
}

/** Outputs `from` to `to`; each one's log ends at ten times its index. */
function record(log: DigestLog, from: number, to: number): void {
  for (let index = from; index <= to; index += 1) log.record(index, index * 10, hashOf(index));
}

function numbers(log: DigestLog, shipped: number): number[] {
  return log.take(shipped).map(({ n }) => n);
}

describe('digests of the primary', () => {
  it('are numbered from the clone point, also those that came before it was known', () => {
    const log = new DigestLog(LIMITS);
    record(log, 5, 8);
    expect(log.take(1_000)).to.deep.equal([]);
    log.clonePoint(6);
    record(log, 9, 9);
    expect(log.take(80)).to.deep.equal([
      { type: 'digest', n: 1, lsn: 70, hash: hashOf(7) },
      { type: 'digest', n: 2, lsn: 80, hash: hashOf(8) },
    ]);
    expect(numbers(log, 90), 'not before its log').to.deep.equal([3]);
    expect(log.numberOf(6)).to.equal(null);
    expect(log.numberOf(9)).to.equal(3);
  });

  it('forget outputs of before a clone point that comes late', () => {
    const log = new DigestLog(LIMITS);
    record(log, 1, 2);
    log.clonePoint(5);
    record(log, 3, 6);
    expect(log.take(1_000)).to.deep.equal([{ type: 'digest', n: 1, lsn: 60, hash: hashOf(6) }]);
  });

  it('are kept until compared, and sent no further than the backup has room', () => {
    const log = new DigestLog(LIMITS);
    log.clonePoint(0);
    record(log, 1, 9);
    expect(numbers(log, 1_000)).to.deep.equal([1, 2, 3, 4]);
    expect(log.compared(2)).to.equal(true);
    expect(log.length).to.equal(7);
    expect(numbers(log, 1_000)).to.deep.equal([5, 6]);
  });

  it('are sent again on a new connection, from where the backup is', () => {
    const log = new DigestLog(LIMITS);
    log.clonePoint(0);
    record(log, 1, 4);
    log.take(1_000);
    expect(log.resume(1)).to.equal(true);
    expect(log.compared(4), 'it may have had all of them').to.equal(true);
    record(log, 5, 5);
    expect(numbers(log, 1_000)).to.deep.equal([5]);
    expect(log.resume(4)).to.equal(true);
    expect(numbers(log, 1_000)).to.deep.equal([5]);
  });

  it('cannot be compared before they are sent, nor less than before', () => {
    const log = new DigestLog(LIMITS);
    log.clonePoint(0);
    record(log, 1, 4);
    expect(log.compared(1)).to.equal(false);
    log.take(30);
    expect(log.compared(3)).to.equal(true);
    expect(log.compared(2)).to.equal(false);
    expect(log.resume(4)).to.equal(false);
  });

  it('are full at their bound, and beyond hope behind the slack', () => {
    const log = new DigestLog(LIMITS);
    record(log, 1, 9);
    expect(log.full).to.equal(false);
    expect(log.usedShare).to.equal(0.9);
    record(log, 10, 13);
    expect(log.full).to.equal(true);
    expect(log.overflowing).to.equal(false);
    record(log, 14, 14);
    expect(log.overflowing).to.equal(true);
  });

  it('hold more than a minute of a busy guest in the memory that they may take', () => {
    const log = new DigestLog(makeLimits());
    for (let index = 1; index <= 65 * 10_000; index += 1) log.record(index, index, hashOf(index));
    expect(log.full).to.equal(false);
  });
});
