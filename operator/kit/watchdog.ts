// SPDX-License-Identifier: Apache-2.0
/** Notices that a stream has gone silent: a connection can be open for hours with nobody at its other end. */
import type { Time } from './time.js';

export class Watchdog {
  #lastMs: number;
  #cancel: () => void;
  #barked = false;

  constructor(
    private readonly time: Time,
    private readonly silenceMsMax: number,
    private readonly bark: () => void,
  ) {
    this.#lastMs = time.now();
    this.#cancel = this.#arm(silenceMsMax);
  }

  get barked(): boolean {
    return this.#barked;
  }

  /** The same pieces; each is a sign of life. */
  async *watch(pieces: AsyncIterable<string>, onSign: () => void): AsyncGenerator<string> {
    for await (const piece of pieces) {
      this.#lastMs = this.time.now();
      onSign();
      yield piece;
    }
  }

  stop(): void {
    this.#cancel();
  }

  #arm(delayMs: number): () => void {
    return this.time.after(delayMs, () => this.#look());
  }

  /** One timer for many pieces: it looks when the last one was. */
  #look(): void {
    const leftMs = this.#lastMs + this.silenceMsMax - this.time.now();
    if (leftMs > 0) this.#cancel = this.#arm(leftMs);
    else {
      this.#barked = true;
      this.bark();
    }
  }
}
