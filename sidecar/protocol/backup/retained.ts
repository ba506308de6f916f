// SPDX-License-Identifier: Apache-2.0
import { Fifo } from '../fifo.js';
import type { Limits } from '../limits.js';
import type { Hash, Lsn } from '../types.js';

/** What an output or digest led to. */
export type Comparison = 'fine' | 'divergence' | 'overflow';

/**
 * The backup's outputs. The n-th is compared with the primary's n-th digest, whichever comes first, and kept
 * until the primary says that its own n-th has left; what is still kept at go-live is sent again.
 */
export class RetainedOutputs {
  readonly #limits: Limits;
  readonly #mine = new Fifo<Hash>();
  readonly #theirs = new Fifo<{ readonly hash: Hash; readonly lsn: Lsn }>();
  readonly #sizes = new Fifo<{ readonly n: number; readonly bytes: number }>();
  #bytes = 0;
  #made = 0;
  #digests = 0;
  #compared = 0;
  #released = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Outputs compared and found equal. */
  get compared(): number {
    return this.#compared;
  }

  /** Outputs whose release is not known. */
  get retained(): number {
    return this.#sizes.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** This engine made its next output. */
  output(hash: Hash, bytes: number): Comparison {
    this.#made += 1;
    this.#mine.push(hash);
    this.#sizes.push({ n: this.#made, bytes });
    this.#bytes += bytes;
    const equal = this.#compare();
    if (!equal) return 'divergence';
    return this.#overflows() ? 'overflow' : 'fine';
  }

  /** The primary's output `n`. Digests come in order; those of before a broken connection may come again. */
  digest(n: number, lsn: Lsn, hash: Hash): Comparison {
    if (n <= this.#digests) return 'fine';
    if (n !== this.#digests + 1) return 'divergence';
    this.#digests = n;
    this.#theirs.push({ hash, lsn });
    const equal = this.#compare();
    if (!equal) return 'divergence';
    return this.#overflows() ? 'overflow' : 'fine';
  }

  /** An engine that has replayed all below `lsn` has still to make an output that the primary made by then. */
  owes(lsn: Lsn): boolean {
    const next = this.#theirs.peek();
    return next !== undefined && next.lsn <= lsn;
  }

  /** The primary's outputs up to `n` have left. */
  released(n: number): void {
    this.#released = Math.max(this.#released, n);
  }

  /** Number through which outputs can be thrown away, or null. They count as gone. */
  drop(): number | null {
    const last = this.#sizes.shiftWhile((output) => {
      if (output.n > this.#released) return false;
      this.#bytes -= output.bytes;
      return true;
    });
    return last === undefined ? null : last.n;
  }

  #compare(): boolean {
    while (this.#mine.length > 0 && this.#theirs.length > 0) {
      if (this.#mine.shift() !== this.#theirs.shift()?.hash) return false;
      this.#compared += 1;
    }
    return true;
  }

  /** The primary holds its guest at its own bounds, and both sides are at most that apart. */
  #overflows(): boolean {
    const { digestsMax, heldOutputsMax, holdSlackOutputs, heldBytesMax, holdSlackBytes } = this.#limits;
    if (Math.max(this.#mine.length, this.#theirs.length) > digestsMax + 2 * holdSlackOutputs) return true;
    return (
      this.#sizes.length > heldOutputsMax + 2 * holdSlackOutputs ||
      this.#bytes > heldBytesMax + 2 * holdSlackBytes
    );
  }
}
