// SPDX-License-Identifier: Apache-2.0
/**
 * Informers → keys → queue → reconcile. The level counts, not the edge: a change tells only where to look, and
 * reconcile looks at everything anew. It runs only while we lead, once at a time for a key, and not before the caches
 * show what it wrote last.
 */
import type { BackoffLimits } from './backoff.js';
import type { Leader } from './fence.js';
import type { KubeObject, Stored } from './object.js';
import { again, done, type Outcome } from './outcome.js';
import { WorkQueue, type QueueEvent } from './queue.js';
import type { Random, Time } from './time.js';

/** Of an Informer, what a controller needs. */
export interface Followed<T extends KubeObject> {
  list(): readonly Stored<T>[];
  on(handlers: {
    add(object: Stored<T>): void;
    update(object: Stored<T>, before: Stored<T>): void;
    delete(last: Stored<T>): void;
  }): () => void;
  fresh(signal?: AbortSignal): Promise<void>;
}

/** Of Expectations, what a controller needs. */
export interface Holds {
  holdMs(key: string): number | null;
  onRelease(listener: (key: string) => void): () => void;
}

export interface Source {
  fresh(signal: AbortSignal): Promise<void>;
  /** Keys of all that is there. */
  keys(): readonly string[];
  /** Tells keys of what changes; returns what ends it. */
  follow(onKey: (key: string) => void): () => void;
}

export interface ControllerOptions {
  readonly sources: readonly Source[];
  /**
   * One look at a key and one step. Must be idempotent, must not wait for anything but answers.
   * @param signal aborts when we no longer lead
   */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  readonly concurrency: number;
  readonly time: Time;
  readonly random: Random;
  readonly expectations?: readonly Holds[];
  /** Asked before each reconcile; always leads if not given. */
  readonly leader?: Leader;
  readonly backoff?: BackoffLimits;
  /** Must not throw. */
  readonly observe?: (event: QueueEvent) => void;
}

/** A reconcile is left out because the cache does not yet show our own write. */
export const OWN_WRITE = 'OwnWriteNotSeen';

/** @param keysOf which keys an object is about: its own, its owner's, all that name it. Must not throw. */
export function source<T extends KubeObject>(
  informer: Followed<T>,
  keysOf: (object: Stored<T>) => readonly string[],
): Source {
  return {
    fresh: (signal) => informer.fresh(signal),
    keys: () => informer.list().flatMap((object) => keysOf(object)),
    follow: (onKey) => {
      const tell = (...objects: readonly Stored<T>[]): void => {
        for (const object of objects) keysOf(object).forEach((key) => onKey(key));
      };
      // A change can move an object from one key to another: both must look.
      return informer.on({ add: tell, update: (object, before) => tell(before, object), delete: tell });
    },
  };
}

export class Controller {
  readonly #queue: WorkQueue;
  #term: AbortController | null = null;
  #unfollow: (() => void)[] = [];

  constructor(private readonly options: ControllerOptions) {
    this.#queue = new WorkQueue({ ...options, run: (key) => this.#step(key) });
  }

  get queue(): Pick<WorkQueue, 'depth' | 'delayed' | 'inFlight' | 'oldestMs'> {
    return this.#queue;
  }

  /**
   * Begins to work, with a look at everything that is there. Call it when the lead is won. What the one before us
   * wrote last may not have come to our caches: they are filled anew first.
   */
  async lead(): Promise<void> {
    if (this.#term !== null) return;
    const term = new AbortController();
    this.#term = term;
    await Promise.all(this.options.sources.map((one) => one.fresh(term.signal)));
    if (term.signal.aborted) return;
    const add = (key: string): void => this.#queue.add(key);
    for (const one of this.options.sources) {
      this.#unfollow.push(one.follow(add));
      one.keys().forEach(add);
    }
    for (const one of this.options.expectations ?? []) this.#unfollow.push(one.onRelease(add));
    this.#queue.start();
  }

  /** Begins nothing any more, and forgets what waits. Resolves when nothing is in flight. */
  async retire(): Promise<void> {
    this.#term?.abort();
    this.#term = null;
    for (const unfollow of this.#unfollow.splice(0)) unfollow();
    const halted = this.#queue.halt();
    this.#queue.clear();
    await halted;
    // What was in flight may have asked for another look; unless the lead was won again meanwhile.
    if (this.#isRetired()) this.#queue.clear();
  }

  /** Something else has changed. Without effect while we do not lead: to lead begins with a look at everything. */
  enqueue(key: string): void {
    if (this.#term !== null) this.#queue.add(key);
  }

  /** The same, after a time. */
  enqueueAfter(key: string, afterMs: number): void {
    if (this.#term !== null) this.#queue.addAfter(key, afterMs);
  }

  #isRetired(): boolean {
    return this.#term === null;
  }

  async #step(key: string): Promise<Outcome> {
    const term = this.#term;
    if (term === null || this.options.leader?.holds() === false) return done;
    for (const expectations of this.options.expectations ?? []) {
      const holdMs = expectations.holdMs(key);
      if (holdMs !== null) return again(holdMs, OWN_WRITE);
    }
    return this.options.reconcile(key, term.signal);
  }
}
