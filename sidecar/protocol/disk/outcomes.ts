// SPDX-License-Identifier: Apache-2.0
/**
 * How the primary's requests came out is an input of the backup: its guest must see the same errors. The k-th request to
 * a disk after the clone point is the k-th on both sides. An outcome is told to the backup before the primary's QEMU is
 * answered, so it comes before the log of everything that the answer led to.
 */
import type { Lsn } from '../types.js';
import { FINE, type DiskOutcome } from './request.js';

export interface NumberedOutcome extends DiskOutcome {
  readonly disk: number;
  /** 1 is the first request after the clone point. */
  readonly k: number;
}

interface Kept {
  readonly outcome: NumberedOutcome;
  /** Log's head when it was told: whoever has log beyond it has heard of it, for it was sent before that log. */
  readonly head: Lsn;
}

/** Primary: what was told, until it is known to have come. */
export class ToldOutcomes {
  #kept: Kept[] = [];

  get length(): number {
    return this.#kept.length;
  }

  tell(outcome: NumberedOutcome, head: Lsn): void {
    this.#kept.push({ outcome, head });
  }

  /** The backup has all log below `received`. */
  acknowledge(received: Lsn): void {
    const known = this.#kept.findIndex(({ head }) => head >= received);
    this.#kept.splice(0, known < 0 ? this.#kept.length : known);
  }

  /** What the broken connection may have swallowed. */
  all(): readonly NumberedOutcome[] {
    return this.#kept.map(({ outcome }) => outcome);
  }
}

/** Backup: what is known of one disk's requests. They come nearly in order, and most without an error. */
export class KnownOutcomes {
  /** All up to here are known. */
  #through = 0;
  readonly #beyond = new Set<number>();
  readonly #failed = new Map<number, DiskOutcome>();

  /** Once more, after a connection broke, is no matter. */
  learn({ k, error, written }: NumberedOutcome): void {
    if (this.has(k)) return;
    this.#beyond.add(k);
    if (error !== 0) this.#failed.set(k, { error, written });
    while (this.#beyond.delete(this.#through + 1)) this.#through += 1;
  }

  has(k: number): boolean {
    return k <= this.#through || this.#beyond.has(k);
  }

  /** The outcome of request `k`, to be asked for once; null: not known. */
  take(k: number): DiskOutcome | null {
    if (!this.has(k)) return null;
    const failed = this.#failed.get(k);
    this.#failed.delete(k);
    return failed ?? FINE;
  }
}
