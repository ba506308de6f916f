// SPDX-License-Identifier: Apache-2.0
import { GuestClock } from './guest-clock.js';
import type { Limits } from '../limits.js';
import type { Outbox } from '../outbox.js';
import type { LagMeter } from './lag.js';
import type { HoldReason, PaceGoal } from './pace.js';
import { Pace } from './pace.js';
import type { Lsn, Millis } from '../types.js';

/** What a backup is for the guest's speed. */
export interface Follower {
  readonly loaded: boolean;
  readonly lag: LagMeter;
  /** Share of the room for log and digests that is in use; the primary's ring has `ringBytes`. */
  usedShare(head: Lsn, ringBytes: number): number;
}

/** How fast the guest may run: as fast as its backup can follow, or not at all while somebody holds it. */
export class GuestSpeed {
  readonly #ringBytes: number;
  readonly #pace: Pace;
  readonly #clock = new GuestClock();
  #told = 0;

  constructor(limits: Limits, ringBytes: number) {
    this.#pace = new Pace(limits);
    this.#ringBytes = ringBytes;
  }

  /** Share of the vCPU's time that the engine was told to take away. */
  get permille(): number {
    return this.#told;
  }

  /** How long the guest has run. */
  get guestMs(): Millis {
    return this.#clock.ms;
  }

  /** Time has come to `now`; before anything else is said of it. */
  run(now: Millis): void {
    this.#clock.run(now, this.#told);
  }

  hold(reason: HoldReason, on: boolean): void {
    this.#pace.hold(reason, on);
  }

  /** With each tick: by the room that is left for log and digests, and by the backup's lag once it replays. */
  steer(backup: Follower, goal: PaceGoal, head: Lsn, now: Millis): void {
    this.#pace.room(backup.usedShare(head, this.#ringBytes));
    if (!backup.loaded) return;
    this.#pace.steer(goal, backup.lag.lagMs(now), backup.lag.replayedMs(this.guestMs), now);
  }

  /** There is no backup that has to follow. */
  setFree(): void {
    this.#pace.hold('handover', false);
    this.#pace.hold('digestsFull', false);
    this.#pace.reset();
  }

  /** Tells the engine what has changed. */
  tell(out: Outbox): void {
    if (this.#pace.permille === this.#told) return;
    this.#told = this.#pace.permille;
    out.push({ type: 'pace', permille: this.#told });
  }
}
