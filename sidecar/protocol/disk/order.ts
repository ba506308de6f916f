// SPDX-License-Identifier: Apache-2.0
import { isMutation, type DiskRequest } from './request.js';

/**
 * Which requests may be carried out beside which: those that touch the same bytes, one of them changing these, go one
 * after the other in the order in which they came. That order is the same on both sides, so what is read and what stays
 * is the same there, too. A flush covers what was answered before it came (NBD's rule), and waits for nothing.
 */
interface Entry {
  readonly id: number;
  readonly request: DiskRequest;
  /** Requests before it that it still waits for. */
  readonly behind: Set<number>;
}

const overlap = (a: DiskRequest, b: DiskRequest): boolean =>
  a.offset < b.offset + b.length && b.offset < a.offset + a.length;

function conflict(a: DiskRequest, b: DiskRequest): boolean {
  if (a.kind === 'flush' || b.kind === 'flush') return false;
  return (isMutation(a) || isMutation(b)) && overlap(a, b);
}

export class RequestOrder {
  readonly #entries = new Map<number, Entry>();

  get size(): number {
    return this.#entries.size;
  }

  /** True: it may be carried out now; else `finish` of another one will name it. */
  add(id: number, request: DiskRequest): boolean {
    const behind = new Set<number>();
    for (const other of this.#entries.values()) {
      if (conflict(other.request, request)) behind.add(other.id);
    }
    this.#entries.set(id, { id, request, behind });
    return behind.size === 0;
  }

  /** It was carried out. Returns those that may be now. */
  finish(id: number): number[] {
    this.#entries.delete(id);
    const free: number[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.behind.delete(id) && entry.behind.size === 0) free.push(entry.id);
    }
    return free;
  }
}
