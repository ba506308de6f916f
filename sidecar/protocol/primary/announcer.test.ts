// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { makeLimits } from '../limits.js';
import type { Effect } from '../effects.js';
import { Outbox } from '../outbox.js';
import { Announcer } from './announcer.js';

describe('announcements of where the guest is', () => {
  const limits = makeLimits({ announceTimes: 4, announceAgainMs: 50 });

  /** Times at which it announces, looked at every 10 ms. */
  function times(until: number, endAt = Infinity): number[] {
    const announcer = new Announcer(limits);
    const found: number[] = [];
    for (let now = 1_000; now <= until; now += 10) {
      const out = new Outbox();
      if (now === 1_000) announcer.begin(now, out);
      else announcer.tick(now, out);
      if (now >= endAt) announcer.end();
      const effects: readonly Effect[] = out.effects;
      if (effects.length > 0) found.push(now);
    }
    return found;
  }

  it('come at once, and again after pauses that double, so many times', () => {
    expect(times(10_000)).to.deep.equal([1_000, 1_050, 1_150, 1_350]);
  });

  it('end when another may become owner', () => {
    expect(times(10_000, 1_060)).to.deep.equal([1_000, 1_050]);
  });

  it('come once where time has passed unseen, not all at once', () => {
    const announcer = new Announcer(limits);
    const out = new Outbox();
    announcer.begin(0, out);
    announcer.tick(60_000, out);
    announcer.tick(60_010, out);
    expect(out.effects).to.have.length(2);
  });
});
