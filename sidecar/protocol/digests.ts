// SPDX-License-Identifier: Apache-2.0
import type { DigestFrame } from './frames.js';
import { Fifo } from './fifo.js';
import type { Limits } from './limits.js';
import type { Hash, Lsn } from './types.js';

interface Digest {
  readonly index: number;
  readonly lsn: Lsn;
  readonly hash: Hash;
}

/**
 * The primary's side of the comparison: digests of outputs, numbered from the clone point, kept until the
 * backup has compared them. Recording begins before the clone point is known, because the guest goes on at
 * once behind it, and the number of an output is known only with it.
 */
export class DigestLog {
  readonly #limits: Limits;
  readonly #kept = new Fifo<Digest>();
  #unsent = new Fifo<Digest>();
  #base: number | null = null;
  #sent = 0;
  #compared = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** True: the guest must be held until the backup has compared more. */
  get full(): boolean {
    return this.#kept.length >= this.#limits.digestsMax;
  }

  get overflowing(): boolean {
    return this.#kept.length > this.#limits.digestsMax + this.#limits.holdSlackOutputs;
  }

  /** Number of an output, counted from the clone point; null: not known, or made before it. */
  numberOf(index: number): number | null {
    return this.#base !== null && index > this.#base ? index - this.#base : null;
  }

  record(index: number, lsn: Lsn, hash: Hash): void {
    if (this.#base !== null && index <= this.#base) return;
    this.#kept.push({ index, lsn, hash });
    this.#unsent.push({ index, lsn, hash });
  }

  /** Outputs up to `frames` were made before the clone point. */
  clonePoint(frames: number): void {
    this.#base = frames;
    this.#kept.shiftWhile((digest) => digest.index <= frames);
    this.#unsent.shiftWhile((digest) => digest.index <= frames);
  }

  /**
   * Digests not sent yet of outputs whose log is shipped, oldest first; they count as sent. A digest ahead of its log
   * would speak of a future that the backup, should it go live before, never has.
   */
  take(shipped: Lsn): DigestFrame[] {
    const base = this.#base;
    if (base === null) return [];
    const frames: DigestFrame[] = [];
    for (;;) {
      const next = this.#unsent.peek();
      if (next === undefined || next.lsn > shipped) break;
      this.#unsent.shift();
      this.#sent = next.index - base;
      frames.push({ type: 'digest', n: this.#sent, lsn: next.lsn, hash: next.hash });
    }
    return frames;
  }

  /** The backup has compared outputs up to number `n`. False: it cannot have. */
  compared(n: number): boolean {
    if (n < this.#compared || n > this.#sent) return false;
    this.#compared = n;
    const base = this.#base ?? 0;
    this.#kept.shiftWhile((digest) => digest.index - base <= n);
    return true;
  }

  /** A new connection: what the backup has not compared is sent again. False as above. */
  resume(n: number): boolean {
    if (!this.compared(n)) return false;
    this.#unsent = new Fifo<Digest>();
    for (const digest of this.#kept) this.#unsent.push(digest);
    return true;
  }
}
