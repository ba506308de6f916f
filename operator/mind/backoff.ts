// SPDX-License-Identifier: Apache-2.0

export const BACKOFF_MS_MIN = 500;
export const BACKOFF_MS_MAX = 30_000;

/** How long to wait after so many attempts that failed one after the other, ms. */
export const pauseAfterMs = (failures: number): number =>
  failures === 0 ? 0 : Math.min(BACKOFF_MS_MIN * 2 ** (failures - 1), BACKOFF_MS_MAX);

/**
 * Pauses between attempts to protect: none before the first, then doubled each time up to a bound. `now` is a parameter.
 * An attempt has succeeded when an epoch is there that was not when it was made: only protection arms one. To be seen
 * protected is too much to ask of who looks a few times a second: the next host may have died since.
 */
export class Backoff {
  #attempts = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #epoch = 0;

  /** To be called when an attempt is made, in this epoch of the VM. */
  attempt(nowMs: number, epoch: number): void {
    this.#epoch = epoch;
    this.#attempts += 1;
    this.#notBeforeMs = nowMs + pauseAfterMs(this.#attempts);
  }

  /** To be called with each look at the VM's epoch. */
  epochSeen(epoch: number): void {
    if (epoch > this.#epoch) this.success();
  }

  success(): void {
    this.#attempts = 0;
    this.#notBeforeMs = Number.NEGATIVE_INFINITY;
  }

  waits(nowMs: number): boolean {
    return nowMs < this.#notBeforeMs;
  }
}
