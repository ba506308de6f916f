// SPDX-License-Identifier: Apache-2.0
import type { Limits } from '../limits.js';
import type { Millis } from '../types.js';

/**
 * Whether the engine still shows signs of life. An engine that stands still (stopped, or hung) looks from outside
 * like an idle guest: its sidecar beats on, and the peer has no reason to take over.
 */
export class Pulse {
  readonly #limits: Limits;
  #beat: number | null = null;
  #feltAt: Millis = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  felt(beat: number, now: Millis): void {
    if (beat === this.#beat) return;
    this.#beat = beat;
    this.#feltAt = now;
  }

  /** This process stood still for so long: what the engine did meanwhile is not known yet. */
  ownStall(stalledMs: Millis): void {
    this.#feltAt += stalledMs;
  }

  /** No sign for `stuckAfterMs`. An engine that never gave one is not judged. */
  gone(now: Millis): boolean {
    return this.#beat !== null && now - this.#feltAt > this.#limits.stuckAfterMs;
  }
}
