// SPDX-License-Identifier: Apache-2.0
import type { Limits } from '../limits.js';
import type { Lsn, Millis } from '../types.js';

/** A backup that replays nothing although it has log will never catch up: it must be cloned again. */
export class StuckWatch {
  readonly #limits: Limits;
  #consumed: Lsn;
  #movedAt: Millis;

  constructor(limits: Limits, consumed: Lsn, now: Millis) {
    this.#limits = limits;
    this.#consumed = consumed;
    this.#movedAt = now;
  }

  judge(consumed: Lsn, received: Lsn, now: Millis): boolean {
    if (consumed !== this.#consumed || consumed >= received) {
      this.#consumed = consumed;
      this.#movedAt = now;
    }
    return now - this.#movedAt > this.#limits.replayStuckAfterMs;
  }

  restart(now: Millis): void {
    this.#movedAt = now;
  }

  /** This process stood still for so long, not the engine. */
  ownStall(stalledMs: Millis): void {
    this.#movedAt += stalledMs;
  }
}
