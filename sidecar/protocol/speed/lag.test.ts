// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { LagMeter } from './lag.js';
import { makeLimits } from '../limits.js';

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

  describe('with more log than it has room for samples', () => {
    const SMALL = makeLimits({ lagBoundMs: 400, lagSamplesMax: 64 });

    /** A guest that produces one byte a millisecond for `ms`. */
    function produce(lag: LagMeter, ms: number): void {
      for (let now = 1; now <= ms; now += 1) lag.sample(now, now, now);
    }

    it('a backup that has loaded for long is that far behind until it has replayed it all', () => {
      const lag = new LagMeter(SMALL);
      const end = 50_000;
      produce(lag, end);
      for (let consumed = 0; consumed < end; consumed += 10) {
        lag.consumed(consumed);
        const truth = end - consumed;
        expect(lag.lagMs(end)).to.be.within(truth - 1_300, truth);
      }
      lag.consumed(end);
      expect(lag.lagMs(end)).to.equal(0);
    });

    it('is told too short by one distance of samples at most, whatever comes when', () => {
      const step = fc.record({
        made: fc.nat(50),
        passed: fc.integer({ min: 1, max: 40 }),
        replayed: fc.nat(60),
      });
      fc.assert(
        fc.property(fc.array(step, { minLength: 200, maxLength: 600 }), (steps) => {
          const lag = new LagMeter(SMALL);
          const made: { readonly head: number; readonly at: number }[] = [];
          let [now, head, consumed, spacing, gap] = [0, 0, 0, 0, 0];
          for (const { made: bytes, passed, replayed } of steps) {
            now += passed;
            head += bytes;
            if (bytes > 0) made.push({ head, at: now });
            lag.sample(head, now, now);
            consumed = Math.min(head, consumed + Math.max(0, replayed - 30));
            // Samples made at a wider distance may still be there when the distance is small again.
            spacing = Math.max(spacing, lag.spacingMs);
            gap = Math.max(gap, passed);
            lag.consumed(consumed);
            const oldest = made.find((one) => one.head > consumed);
            const truth = oldest === undefined ? 0 : now - oldest.at;
            expect(lag.lagMs(now)).to.be.within(truth - spacing - gap, truth);
          }
        }),
      );
    });

    it('its samples are close together again when most of it is replayed', () => {
      const lag = new LagMeter(SMALL);
      produce(lag, 10_000);
      expect(lag.spacingMs).to.be.above(SMALL.lagSampleMs);
      lag.consumed(9_900);
      expect(lag.spacingMs).to.equal(SMALL.lagSampleMs);
    });
  });
});
