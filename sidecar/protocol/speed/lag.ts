// SPDX-License-Identifier: Apache-2.0
import { Fifo } from '../fifo.js';
import type { Limits } from '../limits.js';
import type { Lsn, Millis } from '../types.js';

interface Sample {
  readonly head: Lsn;
  readonly at: Millis;
  /** How long the guest had run. */
  readonly guestMs: Millis;
}

/**
 * How far the backup is behind, as time: the age of the oldest log that it has not replayed. From samples of
 * (head of the log, time), at most `lagSamplesMax` of them. Each stands for the log since the one before it, so the lag
 * is never told too short by more than their distance. When there is no room for another one about every second of
 * them goes, and the distance doubles until the backup has replayed most of them: a backup that loads for an hour is an
 * hour behind.
 */
export class LagMeter {
  readonly #limits: Limits;
  #samples = new Fifo<Sample>();
  #spacingMs: Millis;
  #consumed: Lsn = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
    this.#spacingMs = limits.lagSampleMs;
  }

  /** Distance of two samples as it is now. */
  get spacingMs(): Millis {
    return this.#spacingMs;
  }

  /** The log's head is `head` now, when the guest has run for `guestMs`. */
  sample(head: Lsn, now: Millis, guestMs: Millis): void {
    const last = this.#samples.last();
    if (last !== undefined && (last.head >= head || now - last.at < this.#spacingMs)) return;
    this.#samples.push({ head, at: now, guestMs });
    if (this.#samples.length >= this.#limits.lagSamplesMax) this.#thinOut();
  }

  consumed(lsn: Lsn): void {
    this.#consumed = lsn;
    this.#samples.shiftWhile((sample) => sample.head <= lsn);
    if (this.#samples.length * 4 <= this.#limits.lagSamplesMax) this.#spacingMs = this.#limits.lagSampleMs;
  }

  /** Milliseconds; 0 if all log sampled was replayed. */
  lagMs(now: Millis): Millis {
    const oldest = this.#samples.peek();
    return oldest === undefined || oldest.head <= this.#consumed ? 0 : now - oldest.at;
  }

  /** How much of the guest's own time is replayed, of `guestMs` in all. */
  replayedMs(guestMs: Millis): Millis {
    const oldest = this.#samples.peek();
    return oldest === undefined || oldest.head <= this.#consumed ? guestMs : oldest.guestMs;
  }

  /**
   * The log of a sample that goes counts as that of the next one, if that one is not too far from the one before: so the
   * newest stays, and none stands for more than the new distance.
   */
  #thinOut(): void {
    while (this.#samples.length * 4 > this.#limits.lagSamplesMax * 3) {
      this.#spacingMs *= 2;
      const kept = new Fifo<Sample>();
      let candidate: Sample | null = null;
      for (const sample of this.#samples) {
        const before = kept.last();
        const goes = before !== undefined && sample.at - before.at <= this.#spacingMs;
        if (candidate !== null && !goes) kept.push(candidate);
        candidate = sample;
      }
      if (candidate !== null) kept.push(candidate);
      this.#samples = kept;
    }
  }
}
