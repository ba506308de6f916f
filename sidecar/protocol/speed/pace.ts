// SPDX-License-Identifier: Apache-2.0
import type { Limits } from '../limits.js';
import type { Millis } from '../types.js';

/** The guest stands still. */
export const HOLD_PERMILLE = 1_000;

const PERMILLE = 1_000;

/** In use up to here, of whatever it is, the guest runs freely. */
const ROOMY_SHARE = 0.5;

/** Why the guest is held, apart from lag. */
export type HoldReason = 'outputsFull' | 'digestsFull' | 'handover' | 'switchOff';

/**
 * `catchUp`: a backup that has been loaded and protects nobody yet; its lag has to go away soon. `keepUp`: one that
 * protects, for which a lag within its bound will do.
 */
export type PaceGoal = 'catchUp' | 'keepUp';

/** Where the backup was. `replayedMs`: how much of the guest's own time it had replayed. */
interface Sighting {
  readonly at: Millis;
  readonly replayedMs: Millis;
}

/**
 * Share of the vCPU's time to take away: small steps against lag, in proportion as room runs short, all of it while
 * somebody holds.
 */
export class Pace {
  readonly #limits: Limits;
  readonly #holds = new Set<HoldReason>();
  #slowPermille = 0;
  #roomPermille = 0;
  #window: Sighting[] = [];

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get permille(): number {
    return this.#holds.size > 0 ? HOLD_PERMILLE : this.#runningPermille;
  }

  hold(reason: HoldReason, on: boolean): void {
    if (on) this.#holds.add(reason);
    else this.#holds.delete(reason);
  }

  /**
   * With each tick: how much is in use of what runs short first, as a share. From half full on the guest is slowed in
   * proportion, so that it does not run freely until all is full, and then stands still.
   */
  room(usedShare: number): void {
    const { paceMaxPermille, paceStepPermille } = this.#limits;
    const permille = Math.max(0, usedShare - ROOMY_SHARE) * (PERMILLE / (1 - ROOMY_SHARE));
    const inSteps = Math.floor(permille / paceStepPermille) * paceStepPermille;
    this.#roomPermille = Math.min(paceMaxPermille, inSteps);
  }

  /**
   * With each tick. Lag alone is no reason to slow the guest: a backup that has just been loaded is seconds behind and
   * mostly catches up by itself. What counts is how fast the lag shrinks at this pace; a lag that is small need not
   * shrink so fast, so that the pace comes to where guest and backup are equally fast, and does not swing around it.
   *
   * | lag                 | shrinks        | the guest                             |
   * |---------------------|----------------|---------------------------------------|
   * | beyond the bound; catching up: the note bound | too slowly | one step slower |
   * | below the note bound| -              | one step faster                       |
   * | any                 | more than fast enough, also after it | one step faster |
   * | any                 | otherwise      | as it is                              |
   */
  steer(goal: PaceGoal, lagMs: Millis, replayedMs: Millis, now: Millis): void {
    const { lagBoundMs, lagNoteMs, paceStepMs, paceStepPermille } = this.#limits;
    const last = this.#window.at(-1);
    if (last !== undefined && now - last.at < paceStepMs) return;
    this.#see({ at: now, replayedMs });
    const spare = this.#shrinkPermille() - this.#neededPermille(goal, lagMs);
    const tooMuchMs = goal === 'catchUp' ? lagNoteMs : lagBoundMs;
    if (lagMs > tooMuchMs && spare < 0) this.#step(paceStepPermille);
    else if (lagMs < lagNoteMs || spare >= paceStepPermille) this.#step(-paceStepPermille);
  }

  /** No backup, no lag: the guest runs freely. */
  reset(): void {
    this.#slowPermille = 0;
    this.#roomPermille = 0;
    this.#window = [];
  }

  get #runningPermille(): number {
    return Math.max(this.#slowPermille, this.#roomPermille);
  }

  #step(permille: number): void {
    const { paceMaxPermille } = this.#limits;
    this.#slowPermille = Math.min(paceMaxPermille, Math.max(0, this.#slowPermille + permille));
  }

  /** Keeps one that is as old as the window, and all that are younger. */
  #see(sighting: Sighting): void {
    this.#window.push(sighting);
    const long = ({ at }: Sighting): boolean => sighting.at - at >= this.#limits.paceWindowMs;
    while (this.#window[1] !== undefined && long(this.#window[1])) this.#window.shift();
  }

  /**
   * How fast the lag shrinks from now on, permille of real time: the backup's own speed, as seen over the window, less
   * the guest's speed as it is set now. Taken from the lag itself it would still show the paces of before, and the guest
   * would be slowed again and again for what is already done. NaN, which compares as neither: not seen for long enough.
   */
  #shrinkPermille(): number {
    const [first] = this.#window;
    const last = this.#window.at(-1);
    if (first === undefined || last === undefined) return NaN;
    const tookMs = last.at - first.at;
    if (tookMs < this.#limits.paceWindowMs) return NaN;
    const backupPermille = ((last.replayedMs - first.replayedMs) * PERMILLE) / tookMs;
    return backupPermille - (PERMILLE - this.#runningPermille);
  }

  /** As fast as is needed for any lag; where it need not go away, the last of it may take `paceSettleMs`. */
  #neededPermille(goal: PaceGoal, lagMs: Millis): number {
    const { paceNeededPermille, paceSettleMs } = this.#limits;
    if (goal === 'catchUp') return paceNeededPermille;
    return Math.min(paceNeededPermille, (lagMs * PERMILLE) / paceSettleMs);
  }
}
