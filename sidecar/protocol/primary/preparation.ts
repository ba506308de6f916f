// SPDX-License-Identifier: Apache-2.0
import type { Limits } from '../limits.js';
import type { Lsn, Millis } from '../types.js';

/**
 * How a new backup gets on until it can protect. A large or busy VM may take as long as it needs: given up is what does
 * not get on.
 */
export class Preparation {
  readonly #limits: Limits;
  #loaded = false;
  #copied: boolean;
  #copiedBytes = 0;
  #progressAt: Millis;
  #cloneBytes = 0;
  #replayed: Lsn = 0;

  constructor(limits: Limits, hasDisks: boolean, now: Millis) {
    this.#copied = !hasDisks;
    this.#limits = limits;
    this.#progressAt = now;
  }

  /** It has taken in the clone's stream, and replays what was logged meanwhile. */
  get loaded(): boolean {
    return this.#loaded;
  }

  /** It has the disks' images; nothing to copy counts. */
  get copied(): boolean {
    return this.#copied;
  }

  /** Of the disks' images, `bytes` are there in all. */
  copiedSome(bytes: number, now: Millis): void {
    if (bytes <= this.#copiedBytes) return;
    this.#copiedBytes = bytes;
    this.step(now);
  }

  finishCopy(now: Millis): void {
    this.#copied = true;
    this.step(now);
  }

  /** A step was made, or what was waited for was not the backup's to give. */
  step(now: Millis): void {
    this.#progressAt = now;
  }

  /** Of the clone's stream, `bytes` are sent in all. */
  sent(bytes: number, now: Millis): void {
    if (bytes <= this.#cloneBytes) return;
    this.#cloneBytes = bytes;
    this.step(now);
  }

  finishLoading(now: Millis): void {
    this.#loaded = true;
    this.step(now);
  }

  /** All log below `lsn` is replayed. If that is as before, the backup's lag cannot have shrunk either. */
  replayed(lsn: Lsn, now: Millis): void {
    if (lsn <= this.#replayed) return;
    this.#replayed = lsn;
    this.step(now);
  }

  /** Why it is given up, or null. */
  standstill(now: Millis): string | null {
    const { cloneGiveUpMs, catchUpGiveUpMs } = this.#limits;
    const waited = now - this.#progressAt;
    if (!this.#loaded) return waited > cloneGiveUpMs ? 'the clone does not get on' : null;
    if (!this.#copied) return waited > catchUpGiveUpMs ? 'the copy of the disks does not get on' : null;
    return waited > catchUpGiveUpMs ? 'the backup has not caught up, and does not get on' : null;
  }
}
