// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { LagMeter } from './lag.js';
import { makeLimits } from './limits.js';
import { HOLD_PERMILLE, Pace } from './pace.js';

const LIMITS = makeLimits();

describe('lag', () => {
  it('is the age of the oldest log not replayed', () => {
    const lag = new LagMeter(LIMITS);
    lag.sample(100, 0);
    lag.sample(200, 50);
    expect(lag.lagMs(80)).to.equal(80);
    lag.consumed(100);
    expect(lag.lagMs(80)).to.equal(30);
    lag.consumed(200);
    expect(lag.lagMs(5_000), 'an idle guest does not lag').to.equal(0);
  });

  it('keeps the oldest samples when there are too many', () => {
    const lag = new LagMeter(LIMITS);
    for (let i = 1; i <= LIMITS.lagSamplesMax + 500; i += 1) lag.sample(i, i * LIMITS.lagSampleMs);
    expect(lag.lagMs(20_000)).to.equal(20_000 - LIMITS.lagSampleMs);
  });
});

describe('pace', () => {
  it('goes down by one step a time beyond the bound, and up again when the lag is small', () => {
    const pace = new Pace(LIMITS);
    pace.steer(1_001, 0);
    pace.steer(1_001, 50);
    expect(pace.permille).to.equal(LIMITS.paceStepPermille);
    pace.steer(1_001, 100);
    expect(pace.permille).to.equal(2 * LIMITS.paceStepPermille);
    pace.steer(500, 200);
    expect(pace.permille, 'between the two marks it stays').to.equal(2 * LIMITS.paceStepPermille);
    pace.steer(10, 300);
    pace.steer(10, 400);
    expect(pace.permille).to.equal(0);
  });

  it('never stops the guest for lag', () => {
    const pace = new Pace(LIMITS);
    for (let now = 0; now < 60_000; now += LIMITS.paceStepMs) pace.steer(9_999, now);
    expect(pace.permille).to.equal(LIMITS.paceMaxPermille);
  });

  it('stops it for as long as anybody holds', () => {
    const pace = new Pace(LIMITS);
    pace.hold('handover', true);
    pace.hold('outputsFull', true);
    pace.hold('handover', false);
    expect(pace.permille).to.equal(HOLD_PERMILLE);
    pace.hold('outputsFull', false);
    expect(pace.permille).to.equal(0);
  });
});
