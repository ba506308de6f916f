// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { ForwardedPackets } from './forwarded.js';

const packet = (n: number, bytes = 60): Buffer => Buffer.alloc(bytes, n);
const firsts = (packets: readonly Uint8Array[]): number[] => packets.map((one) => one[0] ?? -1);

describe('packets that the primary forwarded', () => {
  it('are kept until the log holds them, and given once, in order', () => {
    const forwarded = new ForwardedPackets();
    forwarded.put(1, [packet(1), packet(2)]);
    forwarded.put(3, [packet(3)]);
    forwarded.inLog(1);
    forwarded.inLog(0); // a piece of log that does not know
    expect(firsts(forwarded.take())).to.deep.equal([2, 3]);
    expect(forwarded.take()).to.deep.equal([]);
  });

  it('are not kept when the log came first', () => {
    const forwarded = new ForwardedPackets();
    forwarded.inLog(12);
    forwarded.put(11, [packet(11), packet(12), packet(13)]);
    expect(firsts(forwarded.take())).to.deep.equal([13]);
  });

  it('may have gaps: what was not forwarded is not missed', () => {
    const forwarded = new ForwardedPackets();
    forwarded.put(5, [packet(5)]);
    forwarded.put(9, [packet(9), packet(10)]);
    forwarded.inLog(7);
    expect(firsts(forwarded.take())).to.deep.equal([9, 10]);
  });

  it('keep their numbers when the newest were left out, also when the log comes to those', () => {
    const forwarded = new ForwardedPackets();
    forwarded.put(1, [packet(1), packet(2), packet(3)]);
    forwarded.put(8, [packet(8), packet(9)]); // 4 to 7 did not fit
    forwarded.inLog(2);
    forwarded.inLog(5);
    forwarded.inLog(8);
    expect(firsts(forwarded.take())).to.deep.equal([9]);
  });

  it('tell of each gap once, by the next packet or by the log, whichever is first', () => {
    const forwarded = new ForwardedPackets();
    expect(forwarded.put(1, [packet(1), packet(2)])).to.equal(false);
    expect(forwarded.put(3, [packet(3)])).to.equal(false);
    expect(forwarded.inLog(3)).to.equal(false);
    expect(forwarded.put(6, [packet(6)])).to.equal(true);
    expect(forwarded.inLog(5)).to.equal(false);
    expect(forwarded.inLog(8)).to.equal(true);
    expect(forwarded.put(9, [packet(9)])).to.equal(false);
    expect(forwarded.inLog(0)).to.equal(false);
  });

  it('of another history are forgotten, and its count with them', () => {
    const forwarded = new ForwardedPackets();
    forwarded.put(100, [packet(1)]);
    forwarded.inLog(99);
    forwarded.clear();
    forwarded.put(1, [packet(2)]);
    expect(firsts(forwarded.take())).to.deep.equal([2]);
  });

  it('are bounded in number and bytes; the newest stay', () => {
    const many = new ForwardedPackets();
    for (let n = 1; n <= 5000; n += 1) many.put(n, [packet(n % 256)]);
    const kept = many.take();
    expect(kept.length).to.equal(1024);
    expect(kept.at(-1)?.[0]).to.equal(5000 % 256);
    const large = new ForwardedPackets();
    for (let n = 1; n <= 100; n += 1) large.put(n, [packet(n, 60_000)]);
    const rest = large.take();
    expect(rest.reduce((bytes, one) => bytes + one.length, 0)).to.be.within(900_000, 1024 * 1024);
    expect(rest.at(-1)?.[0]).to.equal(100);
  });
});
