// SPDX-License-Identifier: Apache-2.0
const COMPACT_AT = 1_024;

/** A queue with cheap removal at its front. Bounds are the business of those who use it. */
export class Fifo<T> {
  #items: T[] = [];
  #start = 0;

  get length(): number {
    return this.#items.length - this.#start;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  peek(): T | undefined {
    return this.#items[this.#start];
  }

  last(): T | undefined {
    return this.length > 0 ? this.#items[this.#items.length - 1] : undefined;
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#start];
    this.#start += 1;
    if (this.#start >= COMPACT_AT && this.#start * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#start);
      this.#start = 0;
    }
    return item;
  }

  /** Takes items off the front while `test` holds. Returns the last one taken. */
  shiftWhile(test: (item: T) => boolean): T | undefined {
    let taken: T | undefined;
    for (let next = this.peek(); next !== undefined && test(next); next = this.peek()) taken = this.shift();
    return taken;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let i = this.#start; i < this.#items.length; i += 1) yield this.#items[i] as T;
  }
}
