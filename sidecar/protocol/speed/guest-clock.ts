// SPDX-License-Identifier: Apache-2.0
import type { Millis } from '../types.js';

/** How long the guest has run, as far as its pace tells: a guest slowed by half ages by half. */
export class GuestClock {
  #at: Millis | null = null;
  #ms: Millis = 0;

  get ms(): Millis {
    return this.#ms;
  }

  /** Up to `now`, the guest had this pace since the last call. */
  run(now: Millis, permille: number): void {
    if (this.#at !== null) this.#ms += ((now - this.#at) * (1_000 - permille)) / 1_000;
    this.#at = now;
  }
}
