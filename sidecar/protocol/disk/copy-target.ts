// SPDX-License-Identifier: Apache-2.0
/**
 * The image of one disk while it comes in, at a backup whose replay already works on it: what a request touches must be
 * there first, but a block that the replay writes whole is not waited for, and what comes for it is thrown away.
 */
import { blocksOf, COPY_BLOCK_BYTES } from './copy-source.js';
import { isMutation, type DiskRequest } from './request.js';

const ABSENT = 0;
const ARRIVING = 1;
const THERE = 2;

export class CopyTarget {
  readonly #states: Uint8Array;
  readonly blocks: number;
  #there = 0;

  constructor(readonly bytes: number) {
    this.blocks = Math.ceil(bytes / COPY_BLOCK_BYTES);
    this.#states = new Uint8Array(this.blocks);
  }

  get isWhole(): boolean {
    return this.#there === this.blocks;
  }

  get doneBytes(): number {
    return Math.min(this.bytes, this.#there * COPY_BLOCK_BYTES);
  }

  /** False: it is there already, newer than what has come. Else it is to be written, and `arrived` told. */
  arrives(block: number): boolean {
    if (this.#states[block] !== ABSENT) return false;
    this.#states[block] = ARRIVING;
    return true;
  }

  arrived(block: number): void {
    if (this.#states[block] === THERE) return;
    this.#states[block] = THERE;
    this.#there += 1;
  }

  /** Zeroes at the clone point, as the image was made: nothing is to be written. */
  zeroes(from: number, to: number): void {
    for (let block = from; block < to; block++) {
      if (this.arrives(block)) this.arrived(block);
    }
  }

  /**
   * What a request has to wait for. When it is free it may be carried out at once, and the blocks that it writes whole
   * count as there. `absent` are those to ask the primary for.
   */
  before(request: DiskRequest): { readonly absent: number[]; readonly isFree: boolean } {
    if (request.kind === 'flush') return { absent: [], isFree: true };
    const [from, to] = blocksOf(request.offset, request.length);
    const absent: number[] = [];
    const covered: number[] = [];
    let isFree = true;
    for (let block = from; block < to; block++) {
      const state = this.#states[block];
      if (state === THERE) continue;
      if (state === ABSENT && this.#covers(request, block)) {
        covered.push(block);
        continue;
      }
      isFree = false;
      if (state === ABSENT) absent.push(block);
    }
    if (isFree) for (const block of covered) this.arrived(block);
    return { absent, isFree };
  }

  #covers(request: DiskRequest, block: number): boolean {
    if (!isMutation(request)) return false;
    const from = block * COPY_BLOCK_BYTES;
    const to = Math.min(from + COPY_BLOCK_BYTES, this.bytes);
    return request.offset <= from && request.offset + request.length >= to;
  }
}
