// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { GuestClock } from './guest-clock.js';
import { LagMeter } from './lag.js';
import { makeLimits } from '../limits.js';
import { HOLD_PERMILLE, Pace, type PaceGoal } from './pace.js';

const LIMITS = makeLimits();
const { lagBoundMs, lagNoteMs, paceMaxPermille, paceStepPermille, paceStepMs, paceWindowMs, tickMs } = LIMITS;

/** Numbers in [-1, 1) that are the same each time. */
function noise(): () => number {
  let state = 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state / 2_147_483_647) * 2 - 1;
  };
}

/**
 * What the pace is after `ms`, if lag behaves like that whatever the pace is. The guest is seen as it would be by
 * its clock: what the backup has replayed is what the guest has run less the lag.
 */
function paceAfter(ms: number, lagAt: (now: number) => number): number {
  const pace = new Pace(LIMITS);
  const clock = new GuestClock();
  for (let now = 0; now <= ms; now += tickMs) {
    const lag = lagAt(now);
    clock.run(now, pace.permille);
    pace.steer('keepUp', lag, clock.ms - lag, now);
  }
  return pace.permille;
}

/** A guest and a backup that replays `speed` times as fast as an unslowed guest runs; told of by acknowledgements. */
class Loop {
  readonly pace = new Pace(LIMITS);
  readonly lags: number[] = [];
  readonly paces: number[] = [];
  readonly #meter = new LagMeter(LIMITS);
  readonly #clock = new GuestClock();
  readonly #noise = noise();
  #now = 0;
  #consumed = 0;

  /** The guest has run alone for so long. */
  constructor(
    behindMs: number,
    readonly goal: PaceGoal = 'keepUp',
  ) {
    for (; this.#now < behindMs; this.#now += tickMs) this.#guest();
  }

  run(ms: number, speed: number): this {
    for (const end = this.#now + ms; this.#now < end; this.#now += tickMs) {
      this.#guest();
      const step = tickMs * speed * (1 + this.#noise());
      this.#consumed = Math.min(this.#clock.ms, this.#consumed + step);
      if (this.#now % LIMITS.beatMs < tickMs) this.#meter.consumed(this.#consumed);
      const lag = this.#meter.lagMs(this.#now);
      this.pace.steer(this.goal, lag, this.#meter.replayedMs(this.#clock.ms), this.#now);
      this.lags.push(lag);
      this.paces.push(this.pace.permille);
    }
    return this;
  }

  /** Of the last `ms`. */
  spread(ms: number): { readonly lag: number; readonly least: number; readonly most: number } {
    const ticks = ms / tickMs;
    const paces = this.paces.slice(-ticks);
    return {
      lag: Math.max(...this.lags.slice(-ticks)),
      least: Math.min(...paces),
      most: Math.max(...paces),
    };
  }

  #guest(): void {
    this.#clock.run(this.#now, this.pace.permille);
    this.#meter.sample(this.#clock.ms, this.#now, this.#clock.ms);
  }
}

describe('pace', () => {
  describe('beyond the bound', () => {
    const jitter = noise();
    for (const [what, lagAt, low, high] of [
      ['lag that stays', () => 3_000, 1, paceMaxPermille],
      ['lag that grows', (now: number) => 3_000 + now * 0.3, 1, paceMaxPermille],
      ['lag that shrinks slowly', (now: number) => 5_000 - now * 0.2, 1, paceMaxPermille],
      ['lag that shrinks fast', (now: number) => 9_000 - now * 1.5, 0, 0],
      ['lag that shrinks fast, seen roughly', (now: number) => 9_000 - now * 1.5 + jitter() * 200, 0, 0],
    ] as const) {
      it(`${what}: ${high === 0 ? 'the guest is left alone' : 'the guest is slowed'}`, () => {
        const permille = paceAfter(paceWindowMs + 3_000, lagAt);
        expect(permille).to.be.within(low, high);
      });
    }

    it('lag that shrinks faster than needed: a slowed guest is eased', () => {
      const lagAt = (now: number): number => (now < 5_000 ? 3_000 + now : 28_000 - 4 * now);
      const slowed = paceAfter(5_000, lagAt);
      expect(slowed).to.be.above(500);
      expect(paceAfter(6_500, lagAt), 'and still beyond the bound').to.be.below(
        slowed - 3 * paceStepPermille,
      );
    });

    it('takes one step a time, and none before it has seen enough', () => {
      expect(paceAfter(paceWindowMs - tickMs, () => 3_000)).to.equal(0);
      expect(paceAfter(paceWindowMs, () => 3_000)).to.equal(paceStepPermille);
      expect(paceAfter(paceWindowMs + paceStepMs - tickMs, () => 3_000)).to.equal(paceStepPermille);
      expect(paceAfter(paceWindowMs + paceStepMs, () => 3_000)).to.equal(2 * paceStepPermille);
    });

    it('never stops the guest for lag', () => {
      expect(paceAfter(60_000, (now) => 3_000 + now)).to.equal(paceMaxPermille);
    });
  });

  it('lets the guest go on when the lag is small, however it changes', () => {
    const pace = new Pace(LIMITS);
    const clock = new GuestClock();
    let slowest = 0;
    for (let now = 0; now < 20_000; now += tickMs) {
      const lag = now < 5_000 ? 2_000 + now : lagNoteMs - 1;
      clock.run(now, pace.permille);
      pace.steer('keepUp', lag, clock.ms - lag, now);
      slowest = Math.max(slowest, pace.permille);
    }
    expect(slowest).to.be.above(0);
    expect(pace.permille).to.equal(0);
  });

  it('never slows a guest that lags less than the bound', () => {
    expect(paceAfter(20_000, (now) => Math.min(lagBoundMs, now))).to.equal(0);
  });

  describe('in a loop with a backup', () => {
    for (const speed of [0.7, 1, 1.5, 3]) {
      it(`${speed} times as fast as the guest: the lag of a long clone goes away`, () => {
        const loop = new Loop(7_000).run(40_000, speed);
        expect(
          loop.lags.some((lag) => lag < lagNoteMs),
          'caught up',
        ).to.equal(true);
        const { lag, least, most } = loop.run(120_000, speed).spread(100_000);
        expect(lag, 'and stays away').to.be.below(1.5 * lagBoundMs);
        expect(most - least, 'the pace does not swing').to.be.below(paceMaxPermille * 0.7);
      });
    }

    for (const [behindMs, speed, withinMs] of [
      [7_000, 0.7, 25_000],
      [7_000, 1, 20_000],
      [7_000, 1.5, 15_000],
      [900, 1, 6_000],
    ] as const) {
      it(`${behindMs} ms behind, ${speed} times as fast, not protecting yet: caught up within ${withinMs} ms`, () => {
        const loop = new Loop(behindMs, 'catchUp').run(withinMs, speed);
        expect(loop.lags.some((lag) => lag < lagNoteMs)).to.equal(true);
      });
    }

    it('a backup that is fast enough: the guest is never slowed', () => {
      expect(Math.max(...new Loop(7_000).run(20_000, 1.7).paces)).to.equal(0);
    });

    it('a backup that is slow for a while: slowed as far as needed, and free again', () => {
      const loop = new Loop(0).run(5_000, 2).run(20_000, 0.5);
      expect(loop.spread(1_000).most).to.be.within(400, paceMaxPermille);
      expect(loop.spread(20_000).lag).to.be.below(4_000);
      expect(loop.run(20_000, 2).spread(1_000)).to.include({ least: 0, most: 0 });
    });
  });

  it('stops the guest for as long as anybody holds', () => {
    const pace = new Pace(LIMITS);
    pace.hold('handover', true);
    pace.hold('outputsFull', true);
    pace.hold('handover', false);
    expect(pace.permille).to.equal(HOLD_PERMILLE);
    pace.hold('outputsFull', false);
    expect(pace.permille).to.equal(0);
  });
});
