// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { UNDER_WAY_BYTES_MAX, UnderWay } from './under-way.js';

describe('bytes under way to the backup', () => {
  it('are log that is not acknowledged, and packets sent since', () => {
    const way = new UnderWay();
    way.restart(1000);
    expect(way.bytes).to.equal(0);
    way.shippedTo(1500);
    way.forwarded(60);
    expect(way.bytes).to.equal(560);
    way.acknowledged(1200);
    expect(way.bytes).to.equal(360);
    way.acknowledged(1500);
    expect(way.bytes).to.equal(60); // sent behind that log
  });

  it('of packets end with the first log that was sent behind them', () => {
    const way = new UnderWay();
    way.restart(0);
    way.forwarded(60);
    way.shippedTo(100);
    way.shippedTo(200); // says nothing more of the packets
    way.forwarded(70);
    way.shippedTo(300);
    way.acknowledged(99);
    expect(way.bytes).to.equal(201 + 130);
    way.acknowledged(100);
    expect(way.bytes).to.equal(200 + 70);
    way.acknowledged(250);
    expect(way.bytes).to.equal(50 + 70);
    way.acknowledged(300);
    expect(way.bytes).to.equal(0);
  });

  it('leave packets the room that is left, and none behind much log', () => {
    const way = new UnderWay();
    way.restart(0);
    expect(way.roomForPackets).to.equal(UNDER_WAY_BYTES_MAX);
    way.forwarded(1000);
    expect(way.roomForPackets).to.equal(UNDER_WAY_BYTES_MAX - 1000);
    way.shippedTo(UNDER_WAY_BYTES_MAX);
    expect(way.roomForPackets).to.equal(0);
    way.acknowledged(UNDER_WAY_BYTES_MAX);
    expect(way.roomForPackets).to.equal(UNDER_WAY_BYTES_MAX);
  });

  it('of another connection do not count', () => {
    const way = new UnderWay();
    way.restart(0);
    way.forwarded(60);
    way.shippedTo(100);
    way.forwarded(60);
    way.restart(50);
    expect(way.bytes).to.equal(0);
    way.shippedTo(100);
    expect(way.bytes).to.equal(50);
  });

  it('cannot be acknowledged before they were sent, nor less than before', () => {
    const way = new UnderWay();
    way.restart(0);
    way.shippedTo(100);
    way.acknowledged(1e9);
    expect(way.bytes).to.equal(0);
    way.acknowledged(10);
    expect(way.bytes).to.equal(0);
  });

  it('with many tiny packets are counted in bounded memory, and never as fewer than they are', () => {
    const way = new UnderWay();
    way.restart(0);
    for (let lsn = 1; lsn <= 10_000; lsn += 1) {
      way.forwarded(1);
      way.shippedTo(lsn);
    }
    way.acknowledged(9_999);
    expect(way.bytes).to.be.within(1 + 1, 1 + 10_000);
    way.acknowledged(10_000);
    expect(way.bytes).to.equal(0);
  });

  it('are what a wire in order still has', () => {
    const step = fc.record({
      kind: fc.constantFrom('log', 'packets', 'arrive'),
      n: fc.integer({ min: 1, max: 50 }),
    });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const way = new UnderWay();
        way.restart(0);
        const wire: { log: boolean; bytes: number }[] = [];
        let [shipped, received] = [0, 0];
        for (const { kind, n } of steps) {
          if (kind === 'packets') way.forwarded(n);
          if (kind === 'log') way.shippedTo((shipped += n));
          if (kind !== 'arrive') wire.push({ log: kind === 'log', bytes: n });
          for (let i = 0; kind === 'arrive' && i < n; i += 1) {
            const frame = wire.shift();
            if (frame?.log === true) way.acknowledged((received += frame.bytes));
          }
          // Packets that have arrived count until the log behind them has.
          const still = wire.reduce((sum, { bytes }) => sum + bytes, 0);
          expect(way.bytes).to.be.at.least(still);
        }
        way.shippedTo(shipped + 1);
        way.acknowledged(shipped + 1);
        expect(way.bytes).to.equal(0);
      }),
    );
  });
});
