// SPDX-License-Identifier: Apache-2.0
/** Those who are told what changes. What one of them does wrong is reported and harms neither the others nor the teller. */
import type { CacheChange } from './cache.js';
import type { KubeObject, Stored } from './object.js';

/** Called one after another, while the cache already shows the change. They must be quick: enqueue, not work. */
export interface Handlers<T extends KubeObject> {
  add?(object: Stored<T>): void;
  update?(object: Stored<T>, before: Stored<T>): void;
  /** Also for an object that vanished while nobody looked: then `last` is how it was seen last. */
  delete?(last: Stored<T>): void;
  /**
   * All was listed again, and what changed has been told.
   * @param startedAtMs when the list was asked for: all that was written before is in it
   */
  relisted?(startedAtMs: number): void;
}

export class Subscribers<T extends KubeObject> {
  readonly #all = new Set<Handlers<T>>();

  constructor(private readonly onError: (error: unknown) => void) {}

  /** @param present is told as added, before this returns */
  add(handlers: Handlers<T>, present: readonly Stored<T>[]): () => void {
    this.#all.add(handlers);
    for (const object of present) this.#safely(() => handlers.add?.(object));
    return () => this.#all.delete(handlers);
  }

  tell(change: CacheChange<T>): void {
    for (const handlers of this.#all) this.#safely(() => tellOne(handlers, change));
  }

  relisted(startedAtMs: number): void {
    for (const handlers of this.#all) this.#safely(() => handlers.relisted?.(startedAtMs));
  }

  #safely(call: () => unknown): void {
    try {
      const result = call();
      // The type says void, and an async function fits it: its failure must not go unheard.
      if (result instanceof Promise) result.catch(this.onError);
    } catch (error) {
      this.onError(error);
    }
  }
}

function tellOne<T extends KubeObject>(handlers: Handlers<T>, change: CacheChange<T>): unknown {
  switch (change.type) {
    case 'add':
      return handlers.add?.(change.object);
    case 'update':
      return handlers.update?.(change.object, change.before);
    case 'delete':
      return handlers.delete?.(change.last);
  }
}
