// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { DigestQueue } from './digest-queue.js';

/** Some hash, another for each number. */
function hashOf(n: number): string {
  return [n, n * 7_919, 0xffff_ffff - n, 0]
    .map((word) => (word >>> 0).toString(16).padStart(8, '0'))
    .join('');
}

describe('digest queue', () => {
  it('gives back what was put in, over many pieces, while the oldest are dropped', () => {
    const queue = new DigestQueue();
    const model: { readonly lsn: number; readonly hash: string }[] = [];
    for (let n = 1; n <= 20_000; n += 1) {
      const one = { lsn: n * 2 ** 33, hash: hashOf(n) };
      queue.push(one.lsn, one.hash);
      model.push(one);
      if (n % 3_000 !== 0) continue;
      queue.drop(2_500);
      model.splice(0, 2_500);
      for (const i of [0, 1, model.length - 1]) {
        expect({ lsn: queue.lsnAt(i), hash: queue.hashAt(i) }).to.deep.equal(model[i]);
      }
    }
    expect(queue.length).to.equal(model.length);
  });

  it('can be emptied and filled again', () => {
    const queue = new DigestQueue();
    for (const round of [1, 2, 3]) {
      for (let n = 0; n < 4_096; n += 1) queue.push(n, hashOf(round));
      queue.drop(4_096);
      expect(queue.length).to.equal(0);
    }
    queue.push(5, hashOf(5));
    expect(queue.hashAt(0)).to.equal(hashOf(5));
  });
});
