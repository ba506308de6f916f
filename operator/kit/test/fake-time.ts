// SPDX-License-Identifier: Apache-2.0
/** Time that moves when a test says so. */
import type { Time } from '../time.js';

export class FakeTime implements Time {
  #nowMs = 1_000;
  #sequence = 0;
  readonly #timers = new Map<number, { readonly atMs: number; readonly fire: () => void }>();

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, fire: () => void): () => void {
    const id = ++this.#sequence;
    this.#timers.set(id, { atMs: this.#nowMs + Math.max(0, delayMs), fire });
    return () => this.#timers.delete(id);
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Runs what is due, in its order; what follows from it (promises) settles before the next timer. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await settled();
    for (let due = this.#next(untilMs); due !== null; due = this.#next(untilMs)) {
      const [id, { atMs, fire }] = due;
      this.#timers.delete(id);
      this.#nowMs = Math.max(this.#nowMs, atMs);
      fire();
      await settled();
    }
    this.#nowMs = untilMs;
    await settled();
  }

  /** The process stood still: the time has come, nothing has run. Call `advance(0)` to let it run. */
  jump(ms: number): void {
    this.#nowMs += ms;
  }

  #next(untilMs: number): [number, { readonly atMs: number; readonly fire: () => void }] | null {
    let next: [number, { readonly atMs: number; readonly fire: () => void }] | null = null;
    for (const timer of this.#timers)
      if (timer[1].atMs <= untilMs && (next === null || timer[1].atMs < next[1].atMs)) next = timer;
    return next;
  }
}

/** All promises that can settle without I/O have. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
