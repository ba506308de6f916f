// SPDX-License-Identifier: Apache-2.0
const UINT32 = 2 ** 32;

/** A small seeded generator (sfc32): the same seed gives the same run, everywhere. */
export class Prng {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed >>> 0;
    this.#b = Math.floor(seed / UINT32) >>> 0;
    this.#c = 0x9e3779b9;
    for (let i = 0; i < 15; i += 1) this.uint32();
  }

  uint32(): number {
    const t = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + t;
    return t >>> 0;
  }

  /** In [0, 1). */
  float(): number {
    return this.uint32() / UINT32;
  }

  /** In [low, high). */
  between(low: number, high: number): number {
    return low + this.float() * (high - low);
  }

  /** Whole number in [low, high]. */
  int(low: number, high: number): number {
    return low + Math.floor(this.float() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.float() < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.int(0, items.length - 1)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  /** 128 bits as hex. */
  hex128(): string {
    return [0, 0, 0, 0].map(() => this.uint32().toString(16).padStart(8, '0')).join('');
  }
}
