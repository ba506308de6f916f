// SPDX-License-Identifier: Apache-2.0
/**
 * What happened at the stand-in of an API server, as far back as it remembers. Versions are scrambled, so that nobody
 * can put them into an order.
 */
import type { FakeObject } from './fake-store.js';

export interface Change {
  readonly table: string;
  readonly before: FakeObject | null;
  readonly after: FakeObject | null;
  /** The object as it was last, with the version of this change. */
  readonly last: FakeObject;
}

/** A refusal as the API server words it. */
export class FakeRefusal extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    message: string,
    /** What is wrong with it, by paths. */
    readonly fields: readonly string[] = [],
  ) {
    super(message);
  }
}

export class FakeHistory {
  readonly #sequences = new Map<string, number>();
  readonly #listeners = new Set<(change: Change) => void>();
  #changes: { readonly sequence: number; readonly change: Change }[] = [];
  #sequence = 0;
  /** Changes up to this one are forgotten. */
  #forgotten = 0;

  constructor() {
    this.#sequences.set(this.version, 0);
  }

  /** The version of now. */
  get version(): string {
    // Multiplied by an odd number, modulo 2^32: each number gives another.
    return (Math.imul(this.#sequence + 1, 0x9e3779b1) >>> 0).toString(36);
  }

  /** The version of the change that comes. */
  next(): string {
    this.#sequence += 1;
    this.#sequences.set(this.version, this.#sequence);
    return this.version;
  }

  add(change: Change): void {
    this.#changes.push({ sequence: this.#sequence, change });
    for (const listener of this.#listeners) listener(change);
  }

  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Forgets what led here: older versions are answered by 410. */
  compact(): void {
    this.#changes = [];
    this.#forgotten = this.#sequence;
  }

  /** What happened after `version`. @throws FakeRefusal 410 when that is forgotten */
  since(version: string): readonly Change[] {
    const from = this.#sequences.get(version);
    if (from === undefined)
      throw new FakeRefusal(500, 'InternalError', `resourceVersion: Invalid value: ${version}`);
    if (from < this.#forgotten) throw new FakeRefusal(410, 'Expired', `too old resource version: ${version}`);
    return this.#changes.filter(({ sequence }) => sequence > from).map(({ change }) => change);
  }
}
