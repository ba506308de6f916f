// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { Backoff, BACKOFF_MS_MAX, BACKOFF_MS_MIN } from './backoff.js';

describe('Backoff', () => {
  it('does not wait before the first attempt', () => {
    expect(new Backoff().waits(0)).to.equal(false);
  });

  it('doubles its pauses up to the bound', () => {
    const backoff = new Backoff();
    let pauseMs = BACKOFF_MS_MIN;
    for (let attempt = 0; attempt < 12; attempt++) {
      backoff.attempt(1000, 1);
      expect(backoff.waits(1000 + pauseMs - 1)).to.equal(true);
      expect(backoff.waits(1000 + pauseMs)).to.equal(false);
      pauseMs = Math.min(pauseMs * 2, BACKOFF_MS_MAX);
    }
  });

  it('forgets after a success', () => {
    const backoff = new Backoff();
    backoff.attempt(0, 1);
    backoff.success();
    expect(backoff.waits(1)).to.equal(false);
  });

  it('takes a new epoch for a success, also when nobody has seen the protection itself', () => {
    const backoff = new Backoff();
    for (let epoch = 1; epoch < 20; epoch++) {
      backoff.epochSeen(epoch);
      expect(backoff.waits(0)).to.equal(false);
      backoff.attempt(0, epoch);
      backoff.epochSeen(epoch);
      expect(backoff.waits(0)).to.equal(true);
    }
    expect(backoff.waits(BACKOFF_MS_MIN)).to.equal(false);
  });
});
