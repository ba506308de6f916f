// SPDX-License-Identifier: Apache-2.0
import { Fifo } from './fifo.js';
import type { Limits } from './limits.js';
import type { Lsn, Millis } from './types.js';

/**
 * How far the backup is behind, as time: the age of the oldest log that it has not replayed. From samples of
 * (head of the log, time), at most `lagSamplesMax` of them.
 */
export class LagMeter {
  readonly #limits: Limits;
  readonly #samples = new Fifo<{ readonly head: Lsn; readonly at: Millis; readonly guestMs: Millis }>();
  #consumed: Lsn = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** The log's head is `head` now, when the guest has run for `guestMs`. */
  sample(head: Lsn, now: Millis, guestMs: Millis): void {
    const last = this.#samples.last();
    if (last !== undefined && (last.head >= head || now - last.at < this.#limits.lagSampleMs)) return;
    // When full the oldest samples must stay: they are the lag. What is new is covered by later samples.
    if (this.#samples.length >= this.#limits.lagSamplesMax) return;
    this.#samples.push({ head, at: now, guestMs });
  }

  consumed(lsn: Lsn): void {
    this.#consumed = lsn;
    this.#samples.shiftWhile((sample) => sample.head <= lsn);
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
}
