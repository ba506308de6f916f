// SPDX-License-Identifier: Apache-2.0
import { COPY_BLOCK_BYTES } from '../../sidecar/protocol/disk/copy-source.js';
import type { ImageAge } from '../../sidecar/protocol/disk/newest.js';
import type { Prng } from './prng.js';

/** What a disk is made of here: so few cells that requests meet, two in each block of a copy. */
export const CELLS = 8;
export const CELL_BYTES = COPY_BLOCK_BYTES / 2;
export const DISK_BYTES = CELLS * CELL_BYTES;

/** Contents of a cell: which request wrote it, and in which state of the guest. */
const STATES = 2 ** 20;
/** Requests of one life of the VM at most: their numbers grow from life to life. */
export const LIFE_REQUESTS = 2 ** 20;

export const valueOf = (request: number, state: number): number => request * STATES + (state % STATES);
/** The request that wrote it; 0: nobody. */
export const writerOf = (value: number): number => Math.floor(value / STATES);

const zeroes = (): number[] => Array<number>(CELLS).fill(0);

/** The image of one host. It outlives whoever has it. */
export class HostImage {
  cells = zeroes();
  record: ImageAge | null = null;
  #durable = zeroes();

  write(first: number, values: readonly number[]): void {
    this.cells.splice(first, values.length, ...values);
  }

  flush(): void {
    this.#durable = [...this.cells];
  }

  clear(): void {
    this.cells = zeroes();
    this.flush();
  }

  /** The host has died: what was not flushed is there, or not. */
  crash(random: Prng): void {
    this.cells = this.cells.map((value, cell) => (random.chance(0.5) ? value : (this.#durable[cell] ?? 0)));
    this.flush();
  }
}
