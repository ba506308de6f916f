// SPDX-License-Identifier: Apache-2.0
interface Entry {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** Simulated time: a heap of things to do. Equal times run in the order they were asked for. */
export class Schedule {
  now = 0;
  #order = 0;
  readonly #heap: Entry[] = [];

  after(delayMs: number, run: () => void): void {
    this.#order += 1;
    this.#push({ at: this.now + Math.max(0, delayMs), order: this.#order, run });
  }

  /** Runs the next entry if it is due before `until`. False: there is none, and it is `until` now. */
  step(until: number): boolean {
    const next = this.#heap[0];
    if (next === undefined || next.at > until) {
      this.now = until;
      return false;
    }
    this.#pop();
    this.now = next.at;
    next.run();
    return true;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent] as Entry;
      if (before(above, entry)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Entry, heap[child] as Entry)) child += 1;
      if (before(last, heap[child] as Entry)) break;
      heap[i] = heap[child] as Entry;
      i = child;
    }
    heap[i] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
