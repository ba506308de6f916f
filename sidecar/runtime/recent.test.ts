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

describe('frames that came to both hosts', () => {
  it('are not kept, whichever host had them first', () => {
    const recent = new RecentFrames();
    recent.put([frame(1), frame(2)], 0);
    recent.cancel([frame(1)], 1);
    recent.cancel([frame(3)], 2);
    recent.put([frame(3), frame(4)], 3);
    expect(recent.take(4).map((one) => one[0])).to.deep.equal([2, 4]);
  });

  it('cancel one each: a client that asks again in the same words is heard', () => {
    const recent = new RecentFrames();
    recent.put([frame(1)], 0);
    recent.cancel([frame(1)], 0);
    recent.put([frame(1)], 900);
    expect(recent.take(900).map((one) => one[0])).to.deep.equal([1]);
  });

  it('are not kept when the primary has not told of all: what comes later is', () => {
    const recent = new RecentFrames();
    recent.put([frame(1), frame(2)], 0);
    recent.doubt(1);
    recent.put([frame(3)], 2);
    expect(recent.take(3).map((one) => one[0])).to.deep.equal([3]);
  });

  it('of the other host are forgotten like those of this one', () => {
    const recent = new RecentFrames();
    recent.cancel([frame(1)], 0);
    recent.put([frame(1)], 1500);
    for (let n = 0; n < 1000; n += 1) recent.cancel([frame(2, 61 + n)], 1500);
    recent.put([frame(2, 61)], 1500);
    expect(recent.take(1500).map((one) => one[0])).to.deep.equal([1, 2]);
  });
});
