// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { makeLimits } from '../limits.js';
import { ShipWindow } from './window.js';

const LIMITS = makeLimits({ shipChunkBytes: 100, shipWindowBytes: 250 });

describe('ship window', () => {
  it('ships in pieces and says where an event ends', () => {
    const window = new ShipWindow(LIMITS, 10_000, 0);
    expect(window.next(150)).to.deep.equal({ from: 0, to: 100, end: false });
    expect(window.next(150)).to.deep.equal({ from: 100, to: 150, end: true });
    expect(window.next(150)).to.equal(null);
  });

  it('has no more under way than its window', () => {
    const window = new ShipWindow(LIMITS, 10_000, 0);
    while (window.next(1_000) !== null);
    expect(window.acknowledge(250, 0)).to.equal(true);
    expect(window.next(1_000)).to.deep.equal({ from: 250, to: 350, end: false });
  });

  it("never sends more than the backup's ring can hold", () => {
    const window = new ShipWindow(LIMITS, 120, 0);
    while (window.next(1_000) !== null);
    expect(window.acknowledge(120, 0)).to.equal(true);
    expect(window.next(1_000)).to.equal(null);
    expect(window.acknowledge(120, 30)).to.equal(true);
    expect(window.next(1_000)).to.deep.equal({ from: 120, to: 150, end: false });
  });

  it('sends again what was under way when the connection broke', () => {
    const window = new ShipWindow(LIMITS, 10_000, 0);
    window.next(100);
    expect(window.resume(40, 20)).to.equal(true);
    expect(window.next(100)).to.deep.equal({ from: 40, to: 100, end: true });
  });

  for (const [what, received, consumed] of [
    ['more than was sent', 101, 0],
    ['less than before', 49, 0],
    ['more replayed than received', 60, 61],
    ['less replayed than before', 60, 9],
  ] as const) {
    it(`does not believe ${what}`, () => {
      const window = new ShipWindow(LIMITS, 10_000, 0);
      window.next(100);
      window.acknowledge(50, 10);
      expect(window.acknowledge(received, consumed)).to.equal(false);
    });
  }
});
