// SPDX-License-Identifier: Apache-2.0
import { DIGEST_BYTES, DigestQueue } from './digest-queue.js';
import type { DigestFrame } from '../frames.js';
import { invariant } from '../invariant.js';
import type { Limits } from '../limits.js';
import type { Hash, Lsn } from '../types.js';

/**
 * The primary's side of the comparison: digests of outputs, numbered from the clone point, kept until the
 * backup has compared them: all that are made while it loads. Recording begins before the clone point is known, because
 * the guest goes on at once behind it, and the number of an output is known only with it.
 */
export class DigestLog {
  readonly #limits: Limits;
  readonly #kept = new DigestQueue();
  /** Index of the oldest one kept. */
  #first = 0;
  #base: number | null = null;
  /** Number of the newest one sent on this connection, and on any. */
  #sent = 0;
  #sentEver = 0;
  #compared = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Digests kept. */
  get length(): number {
    return this.#kept.length;
  }

  /** Share of the room for them that is in use; more than 1: beyond the bound. */
  get usedShare(): number {
    return (this.#kept.length * DIGEST_BYTES) / this.#limits.digestBytesMax;
  }

  /** True: the guest must be held until the backup has compared more. */
  get full(): boolean {
    return this.usedShare >= 1;
  }

  get overflowing(): boolean {
    const { digestBytesMax, holdSlackOutputs } = this.#limits;
    return this.#kept.length > digestBytesMax / DIGEST_BYTES + holdSlackOutputs;
  }

  /** Number of an output, counted from the clone point; null: not known, or made before it. */
  numberOf(index: number): number | null {
    return this.#base !== null && index > this.#base ? index - this.#base : null;
  }

  record(index: number, lsn: Lsn, hash: Hash): void {
    if (this.#base !== null && index <= this.#base) return;
    if (this.#kept.length === 0) this.#first = index;
    invariant(index === this.#first + this.#kept.length, 'no output is left out');
    this.#kept.push(lsn, hash);
  }

  /** Outputs up to `frames` were made before the clone point. */
  clonePoint(frames: number): void {
    this.#base = frames;
    this.#dropThrough(frames);
  }

  /**
   * Digests not sent yet of outputs whose log is shipped, oldest first; they count as sent. A digest ahead of its log
   * would speak of a future that the backup, should it go live before, never has. No more are under way than the backup
   * has room for.
   */
  take(shipped: Lsn): DigestFrame[] {
    const base = this.#base;
    if (base === null) return [];
    const frames: DigestFrame[] = [];
    while (this.#sent - this.#compared < this.#limits.digestsMax) {
      const at = base + this.#sent + 1 - this.#first;
      if (at >= this.#kept.length || this.#kept.lsnAt(at) > shipped) break;
      this.#sent += 1;
      frames.push({ type: 'digest', n: this.#sent, lsn: this.#kept.lsnAt(at), hash: this.#kept.hashAt(at) });
    }
    this.#sentEver = Math.max(this.#sentEver, this.#sent);
    return frames;
  }

  /** The backup has compared outputs up to number `n`. False: it cannot have. */
  compared(n: number): boolean {
    if (n < this.#compared || n > this.#sentEver) return false;
    this.#compared = n;
    this.#sent = Math.max(this.#sent, n);
    this.#dropThrough((this.#base ?? 0) + n);
    return true;
  }

  /** A new connection: what the backup has not compared is sent again. False as above. */
  resume(n: number): boolean {
    if (!this.compared(n)) return false;
    this.#sent = n;
    return true;
  }

  #dropThrough(index: number): void {
    const count = Math.min(this.#kept.length, Math.max(0, index - this.#first + 1));
    this.#kept.drop(count);
    this.#first += count;
  }
}
