// SPDX-License-Identifier: Apache-2.0
/**
 * Keys that need work. A key waits once however often it is added, is worked on once at a time, and is worked on again
 * when it was added meanwhile. What fails is tried again, later each time. Holds no truth: a key says where to look.
 */
import { backoffMs, checkedBackoff, type BackoffLimits } from './backoff.js';
import type { Outcome } from './outcome.js';
import type { Random, Time } from './time.js';

export interface QueueOptions {
  /** One step of work for a key. To throw is to fail; an error with `retryAfterMs` asks for at least that pause. */
  readonly run: (key: string) => Promise<Outcome>;
  /** Keys worked on at the same time. */
  readonly concurrency: number;
  readonly time: Time;
  readonly random: Random;
  readonly backoff?: BackoffLimits;
  /** Must not throw. */
  readonly observe?: (event: QueueEvent) => void;
}

export type QueueEvent =
  /** @param waitedMs from the time it was added, or due */
  | { readonly type: 'began'; readonly key: string; readonly waitedMs: number }
  | { readonly type: 'ended'; readonly key: string; readonly tookMs: number; readonly result: Result };

export type Result =
  | Outcome
  | {
      readonly kind: 'failed';
      readonly error: unknown;
      /** In a row. */
      readonly failures: number;
      readonly afterMs: number;
    };

export const QUEUE_BACKOFF: BackoffLimits = { firstMs: 100, maxMs: 60_000 };

export class WorkQueue {
  readonly #backoff: BackoffLimits;
  /** Since when, ms. In the order in which they came. */
  readonly #waiting = new Map<string, number>();
  readonly #delayed = new Map<string, { readonly atMs: number; readonly cancel: () => void }>();
  readonly #inFlight = new Map<string, Promise<void>>();
  /** Added while in flight; since when, ms. */
  readonly #dirty = new Map<string, number>();
  /** In a row. */
  readonly #failures = new Map<string, number>();
  #open = false;
  #pumping = false;

  constructor(private readonly options: QueueOptions) {
    const { concurrency, backoff = QUEUE_BACKOFF } = options;
    if (!Number.isInteger(concurrency) || concurrency < 1)
      throw new RangeError(`concurrency is ${concurrency}; it must be a whole number of 1 or more`);
    this.#backoff = checkedBackoff(backoff);
  }

  /** Keys that could be worked on now. */
  get depth(): number {
    return this.#waiting.size + this.#dirty.size;
  }

  /** Keys whose time has not come. */
  get delayed(): number {
    return this.#delayed.size;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** How long the key that came first has waited; 0 when none waits. */
  get oldestMs(): number {
    const [first] = this.#waiting.values();
    return first === undefined ? 0 : this.options.time.now() - first;
  }

  /** Works on what waits, and on what comes. */
  start(): void {
    this.#open = true;
    this.#pumpSoon();
  }

  /** Begins nothing any more. Resolves when nothing is in flight; what waits goes on waiting. */
  async halt(): Promise<void> {
    this.#open = false;
    await Promise.all(this.#inFlight.values());
  }

  /** Forgets what waits, what is to come, and who failed. */
  clear(): void {
    for (const { cancel } of this.#delayed.values()) cancel();
    for (const keys of [this.#waiting, this.#delayed, this.#dirty, this.#failures]) keys.clear();
  }

  add(key: string): void {
    const sinceMs = this.options.time.now();
    const keys = this.#inFlight.has(key) ? this.#dirty : this.#waiting;
    if (keys.has(key)) return;
    keys.set(key, sinceMs);
    this.#pumpSoon();
  }

  /** Adds the key after this time. Of several times for a key the earliest counts. */
  addAfter(key: string, afterMs: number): void {
    if (afterMs <= 0) {
      this.add(key);
      return;
    }
    const atMs = this.options.time.now() + afterMs;
    const other = this.#delayed.get(key);
    if (other !== undefined && other.atMs <= atMs) return;
    other?.cancel();
    const cancel = this.options.time.after(afterMs, () => {
      this.#delayed.delete(key);
      this.add(key);
    });
    this.#delayed.set(key, { atMs, cancel });
  }

  /** Not at once: whoever adds a key may be in the middle of something, and may add it again. */
  #pumpSoon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    queueMicrotask(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    for (const [key, sinceMs] of this.#waiting) {
      if (!this.#open || this.#inFlight.size >= this.options.concurrency) return;
      this.#waiting.delete(key);
      this.#inFlight.set(key, this.#work(key, sinceMs));
    }
  }

  async #work(key: string, sinceMs: number): Promise<void> {
    const { time, observe } = this.options;
    const beganMs = time.now();
    observe?.({ type: 'began', key, waitedMs: beganMs - sinceMs });
    const result = await this.#result(key);
    this.#inFlight.delete(key);
    const dirtySinceMs = this.#dirty.get(key);
    this.#dirty.delete(key);
    if (dirtySinceMs !== undefined) this.#waiting.set(key, dirtySinceMs);
    if (result.kind !== 'done') this.addAfter(key, result.afterMs);
    observe?.({ type: 'ended', key, tookMs: time.now() - beganMs, result });
    this.#pumpSoon();
  }

  async #result(key: string): Promise<Result> {
    try {
      const outcome = await this.options.run(key);
      this.#failures.delete(key);
      return outcome;
    } catch (error) {
      const failures = (this.#failures.get(key) ?? 0) + 1;
      this.#failures.set(key, failures);
      const afterMs = Math.max(
        backoffMs(failures, this.#backoff, this.options.random),
        retryAfterMsOf(error) ?? 0,
      );
      return { kind: 'failed', error, failures, afterMs };
    }
  }
}

/** What an error asks for, as an ApiError of a busy server does. */
export function retryAfterMsOf(error: unknown): number | null {
  if (typeof error !== 'object' || error === null || !('retryAfterMs' in error)) return null;
  return typeof error.retryAfterMs === 'number' ? error.retryAfterMs : null;
}
