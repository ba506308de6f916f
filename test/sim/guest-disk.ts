// SPDX-License-Identifier: Apache-2.0
import type { DiskRequest } from '../../sidecar/protocol/disk/request.js';
import { CELL_BYTES, CELLS, valueOf, writerOf } from './disk-image.js';
import { Violation } from './safety.js';

const UNDER_WAY_MAX = 4;
const UNKNOWN = -1;

/** What the guest asks of its disk. */
export interface GuestRequest {
  /** Number of the request in the history of the VM. */
  readonly r: number;
  readonly kind: 'read' | 'write' | 'flush';
  readonly first: number;
  readonly count: number;
  /** Of a write: what each cell gets. */
  readonly value: number;
  /** What was known when it was asked: what a read must find (unknown where a write is under way), what a flush keeps. */
  readonly known: readonly number[];
}

/** How it came out, and of a read: what was found. */
export interface Answer {
  readonly error: number;
  readonly found: readonly number[];
}

export const diskRequest = ({ kind, first, count }: GuestRequest): DiskRequest => ({
  kind,
  offset: first * CELL_BYTES,
  length: kind === 'flush' ? 0 : count * CELL_BYTES,
  fua: false,
  mayPunch: true,
});

/** The guest's side of a disk: what it asks, and what it must find. Part of its state, so it goes with a clone. */
export class GuestDisk {
  readonly pending = new Map<number, GuestRequest>();
  /** Number of the newest request. */
  last: number;
  /** What each cell holds, as the guest knows, and the request by which it knows. */
  readonly #known: { value: number; by: number }[];
  /** Requests whose writes were flushed, by cell. */
  readonly #flushed: number[];

  constructor(last: number, contents: readonly number[], flushed: readonly number[] = contents.map(() => 0)) {
    this.last = last;
    this.#known = contents.map((value) => ({ value, by: writerOf(value) }));
    this.#flushed = [...flushed];
  }

  /** At rest: a clone point has no request under way. */
  clone(): GuestDisk {
    if (this.pending.size > 0) throw new Violation('a clone of a guest with requests under way');
    const copy = new GuestDisk(this.last, [], this.#flushed);
    copy.#known.push(...this.#known.map((one) => ({ ...one })));
    return copy;
  }

  get flushed(): readonly number[] {
    return [...this.#flushed];
  }

  /** The guest, in this state, asks something. Null: it has enough under way. */
  ask(state: number): GuestRequest | null {
    if (this.pending.size >= UNDER_WAY_MAX) return null;
    this.last += 1;
    const r = this.last;
    const first = (state >>> 3) % CELLS;
    const count = Math.min(1 + ((state >>> 6) % 3), CELLS - first);
    const kind =
      (['write', 'write', 'write', 'read', 'read', 'read', 'flush', 'flush'] as const)[state % 8] ?? 'read';
    const known = this.#known.map(({ value }, cell) =>
      kind === 'read' && this.#isBeingWritten(cell) ? UNKNOWN : value,
    );
    const request = { r, kind, first, count, value: valueOf(r, state), known };
    this.pending.set(r, request);
    return request;
  }

  /** @throws Violation when it is not what the guest has written */
  take(r: number, { error, found }: Answer, isOther: boolean): void {
    const request = this.pending.get(r);
    if (request === undefined) throw new Violation(`request ${r} is answered, and was not asked`);
    this.pending.delete(r);
    if (request.kind === 'write') this.#written(request, error);
    else if (error === 0 && request.kind === 'flush') this.#flush(request);
    else if (error === 0 && !isOther) mustBe(request, found);
  }

  #written({ r, first, count, value }: GuestRequest, error: number): void {
    for (let cell = first; cell < first + count; cell++) {
      const known = this.#known[cell];
      if (known === undefined || known.by > r) continue;
      this.#known[cell] = { value: error === 0 ? value : UNKNOWN, by: r };
    }
  }

  #flush({ known }: GuestRequest): void {
    known.forEach((value, cell) => {
      if (value !== UNKNOWN) this.#flushed[cell] = Math.max(this.#flushed[cell] ?? 0, writerOf(value));
    });
  }

  #isBeingWritten(cell: number): boolean {
    return [...this.pending.values()].some(
      ({ kind, first, count }) => kind === 'write' && cell >= first && cell < first + count,
    );
  }
}

function mustBe({ r, first, known }: GuestRequest, found: readonly number[]): void {
  found.forEach((value, at) => {
    const wanted = known[first + at] ?? UNKNOWN;
    if (wanted === UNKNOWN || wanted === value) return;
    throw new Violation(
      `read ${r} finds in cell ${first + at} what request ${writerOf(value)} wrote, not ${writerOf(wanted)}`,
    );
  });
}
