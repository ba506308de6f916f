// SPDX-License-Identifier: Apache-2.0
import type { Limits } from '../limits.js';
import type { Millis } from '../types.js';

/**
 * A planned failover, seen by the primary. The guest is held. When it stands still, and all that it did before has reached
 * the backup and has left, the backup is told to take over; from then on silence is what is expected of it.
 */
export class Handover {
  readonly #limits: Limits;
  readonly #since: Millis;
  #toldAt: Millis | null = null;

  constructor(limits: Limits, now: Millis) {
    this.#limits = limits;
    this.#since = now;
  }

  /** The backup was told to take over. */
  get told(): boolean {
    return this.#toldAt !== null;
  }

  /** The guest stands still by now, and nobody was told yet. */
  settled(now: Millis): boolean {
    return !this.told && now - this.#since >= this.#limits.handoverSettleMs;
  }

  tell(now: Millis): void {
    this.#toldAt = now;
  }

  /** It has taken too long, counted from the last step. */
  overdue(now: Millis): boolean {
    return now - (this.#toldAt ?? this.#since) > this.#limits.handoverWaitMs;
  }
}
