// SPDX-License-Identifier: Apache-2.0
import { invariant } from '../invariant.js';
import type { Hash, Lsn } from '../types.js';

const HASH_WORDS = 4;
const WORD_DIGITS = 8;
const CHUNK_DIGESTS = 4_096;

/** Memory that one digest takes: a position (float64) and 128 bits. */
export const DIGEST_BYTES = 8 + 4 * HASH_WORDS;

interface Chunk {
  readonly lsns: Float64Array;
  readonly words: Uint32Array;
}

/**
 * A queue of (position, hash), without an object for each: a guest under load makes 10,000 outputs a second, and all of
 * them are kept while its clone is loaded. Grows and shrinks by pieces; bounds are the business of those who use it.
 */
export class DigestQueue {
  readonly #chunks: Chunk[] = [];
  /** Place of the oldest digest in the first chunk. */
  #start = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(lsn: Lsn, hash: Hash): void {
    const place = this.#start + this.#length;
    if (place === this.#chunks.length * CHUNK_DIGESTS) this.#chunks.push(newChunk());
    const { chunk, at } = this.#locate(place);
    chunk.lsns[at] = lsn;
    for (let word = 0; word < HASH_WORDS; word += 1) {
      const digits = hash.slice(word * WORD_DIGITS, (word + 1) * WORD_DIGITS);
      chunk.words[at * HASH_WORDS + word] = parseInt(digits, 16);
    }
    this.#length += 1;
  }

  /** Throws the oldest ones away. */
  drop(count: number): void {
    invariant(count <= this.#length, 'no more is dropped than there is');
    this.#length -= count;
    this.#start += count;
    const unused = Math.floor(this.#start / CHUNK_DIGESTS);
    this.#chunks.splice(0, unused);
    this.#start -= unused * CHUNK_DIGESTS;
  }

  /** Of the i-th, 0 is the oldest. */
  lsnAt(i: number): Lsn {
    const { chunk, at } = this.#locate(this.#start + i);
    return chunk.lsns[at] ?? 0;
  }

  hashAt(i: number): Hash {
    const { chunk, at } = this.#locate(this.#start + i);
    const words = chunk.words.subarray(at * HASH_WORDS, (at + 1) * HASH_WORDS);
    return [...words].map((word) => word.toString(16).padStart(WORD_DIGITS, '0')).join('');
  }

  #locate(place: number): { readonly chunk: Chunk; readonly at: number } {
    const chunk = this.#chunks[Math.floor(place / CHUNK_DIGESTS)];
    invariant(chunk !== undefined, 'a digest that is asked for is there');
    return { chunk, at: place % CHUNK_DIGESTS };
  }
}

function newChunk(): Chunk {
  return {
    lsns: new Float64Array(CHUNK_DIGESTS),
    words: new Uint32Array(CHUNK_DIGESTS * HASH_WORDS),
  };
}
