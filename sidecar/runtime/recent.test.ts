// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { RecentFrames } from './recent.js';

const frame = (n: number, bytes = 60): Buffer => Buffer.alloc(bytes, n);

describe('frames kept for a side that goes live', () => {
  it('gives what came lately, in order, once', () => {
    const recent = new RecentFrames();
    recent.put([frame(1)], 0);
    recent.put([frame(2), frame(3)], 500);
    recent.put([frame(4)], 900);
    expect(recent.take(1200).map((one) => one[0])).to.deep.equal([2, 3, 4]);
    expect(recent.take(1200)).to.deep.equal([]);
  });

  it('forgets the oldest beyond a number of frames', () => {
    const recent = new RecentFrames();
    for (let n = 0; n < 1000; n += 1) recent.put([frame(n % 256)], 1);
    const kept = recent.take(1);
    expect(kept.length).to.equal(256);
    expect(kept.at(-1)?.[0]).to.equal(999 % 256);
  });

  it('forgets the oldest beyond a number of bytes', () => {
    const recent = new RecentFrames();
    for (let n = 0; n < 20; n += 1) recent.put([frame(n, 60_000)], 1);
    const kept = recent.take(1);
    expect(kept.reduce((bytes, one) => bytes + one.length, 0)).to.be.at.most(512 * 1024);
    expect(kept.at(-1)?.[0]).to.equal(19);
  });
});
