// SPDX-License-Identifier: Apache-2.0
/**
 * The image of one disk as it was at the clone point, on its way to a new backup while the guest goes on writing. A block
 * that is about to be overwritten goes first. Each block is read once.
 */
import type { DiskRequest } from './request.js';

/** Small enough that a small write does not drag much along, large enough for a stream. */
export const COPY_BLOCK_BYTES = 64 * 1024;

const UNREAD = 0;
const READING = 1;
const READ = 2;

/** Blocks that a range of bytes touches, first and behind the last. */
export function blocksOf(offset: number, length: number): readonly [from: number, to: number] {
  return [Math.floor(offset / COPY_BLOCK_BYTES), Math.ceil((offset + length) / COPY_BLOCK_BYTES)];
}

export class CopySource {
  readonly blocks: number;
  readonly #states: Uint8Array;
  #cursor = 0;
  #done = 0;
  /** Wanted before their turn. */
  readonly #urgent: number[] = [];

  constructor(readonly bytes: number) {
    this.blocks = Math.ceil(bytes / COPY_BLOCK_BYTES);
    this.#states = new Uint8Array(this.blocks);
  }

  get isDone(): boolean {
    return this.#done === this.blocks;
  }

  /** Bytes that were read, or known to be zeroes. */
  get doneBytes(): number {
    return Math.min(this.bytes, this.#done * COPY_BLOCK_BYTES);
  }

  lengthOf(block: number): number {
    return Math.min(COPY_BLOCK_BYTES, this.bytes - block * COPY_BLOCK_BYTES);
  }

  /** The backup waits for it. */
  want(block: number): void {
    if (block < this.blocks && this.#states[block] === UNREAD) this.#urgent.push(block);
  }

  /** Blocks that must be read before this request may change them; those that are being read count. */
  before({ offset, length }: DiskRequest): { readonly unread: number[]; readonly isFree: boolean } {
    const [from, to] = blocksOf(offset, length);
    const unread: number[] = [];
    let isFree = true;
    for (let block = from; block < to; block++) {
      const state = this.#states[block];
      if (state === UNREAD) unread.push(block);
      if (state !== READ) isFree = false;
    }
    return { unread, isFree };
  }

  /** The next block in turn that is to be read, from `#cursor` on; null: none is left. */
  next(): number | null {
    for (let block = this.#urgent.shift(); block !== undefined; block = this.#urgent.shift()) {
      if (this.#states[block] === UNREAD) return block;
    }
    while (this.#cursor < this.blocks && this.#states[this.#cursor] !== UNREAD) this.#cursor += 1;
    return this.#cursor < this.blocks ? this.#cursor : null;
  }

  begin(block: number): void {
    this.#states[block] = READING;
  }

  finish(block: number): void {
    if (this.#states[block] === READ) return;
    this.#states[block] = READ;
    this.#done += 1;
  }

  /**
   * The image has no data in the bytes of [offset, end): the blocks wholly inside that are still as at the clone point are
   * zeroes. Returns them as runs; they are done.
   */
  hole(offset: number, end: number): (readonly [from: number, to: number])[] {
    const from = Math.ceil(offset / COPY_BLOCK_BYTES);
    const to = end >= this.bytes ? this.blocks : Math.floor(end / COPY_BLOCK_BYTES);
    const runs: [number, number][] = [];
    for (let block = from; block < to; block++) {
      if (this.#states[block] !== UNREAD) continue;
      this.finish(block);
      const last = runs.at(-1);
      if (last?.[1] === block) last[1] = block + 1;
      else runs.push([block, block + 1]);
    }
    return runs;
  }
}
