// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { makeLimits } from '../limits.js';
import { Pulse } from './pulse.js';

const LIMITS = makeLimits({ stuckAfterMs: 1000 });

describe('pulse of the engine', () => {
  it('is not judged before the first beat', () => {
    expect(new Pulse(LIMITS).gone(1e9)).to.equal(false);
  });

  it('is gone when the count stands still for longer than stuckAfterMs', () => {
    const pulse = new Pulse(LIMITS);
    pulse.felt(7, 100);
    pulse.felt(7, 900);
    expect(pulse.gone(1100)).to.equal(false);
    expect(pulse.gone(1101)).to.equal(true);
    pulse.felt(8, 1200);
    expect(pulse.gone(2200)).to.equal(false);
  });

  it('is not charged with time in which this process itself stood still', () => {
    const pulse = new Pulse(LIMITS);
    pulse.felt(7, 0);
    pulse.ownStall(5000);
    expect(pulse.gone(6000)).to.equal(false);
    expect(pulse.gone(6001)).to.equal(true);
  });
});
