// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { LagMeter } from './lag.js';
import { makeLimits } from './limits.js';

const LIMITS = makeLimits();

describe('lag', () => {
  it('is the age of the oldest log not replayed', () => {
    const lag = new LagMeter(LIMITS);
    lag.sample(100, 0, 0);
    lag.sample(200, 50, 25);
    expect(lag.lagMs(80)).to.equal(80);
    expect(lag.replayedMs(40)).to.equal(0);
    lag.consumed(100);
    expect(lag.lagMs(80)).to.equal(30);
    expect(lag.replayedMs(40), 'of the time in which the guest ran').to.equal(25);
    lag.consumed(200);
    expect(lag.lagMs(5_000), 'an idle guest does not lag').to.equal(0);
    expect(lag.replayedMs(2_500)).to.equal(2_500);
  });

  it('keeps the oldest samples when there are too many', () => {
    const lag = new LagMeter(LIMITS);
    for (let i = 1; i <= LIMITS.lagSamplesMax + 500; i += 1) lag.sample(i, i * LIMITS.lagSampleMs, 0);
    expect(lag.lagMs(20_000)).to.equal(20_000 - LIMITS.lagSampleMs);
  });
});
