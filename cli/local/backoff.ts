// SPDX-License-Identifier: Apache-2.0

export const BACKOFF_MS_MIN = 500;
export const BACKOFF_MS_MAX = 30_000;

/** Pauses between attempts: none before the first, then doubled each time up to a bound. `now` is a parameter. */
export class Backoff {
  #attempts = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  /** To be called when an attempt is made. */
  attempt(nowMs: number): void {
    const pauseMs = Math.min(BACKOFF_MS_MIN * 2 ** this.#attempts, BACKOFF_MS_MAX);
    this.#attempts += 1;
    this.#notBeforeMs = nowMs + pauseMs;
  }

  success(): void {
    this.#attempts = 0;
    this.#notBeforeMs = Number.NEGATIVE_INFINITY;
  }

  waits(nowMs: number): boolean {
    return nowMs < this.#notBeforeMs;
  }
}
