// SPDX-License-Identifier: Apache-2.0
import type { Limits } from '../limits.js';
import type { Lsn } from '../types.js';

export interface ShipRange {
  readonly from: Lsn;
  readonly to: Lsn;
  /** An event ends at `to`. */
  readonly end: boolean;
}

/**
 * Which log the primary sends next. Two bounds: never more than the backup's ring can hold (so that the
 * backup always reads its connection, and beats are never stuck behind log), and never more than
 * `shipWindowBytes` under way.
 */
export class ShipWindow {
  readonly #limits: Limits;
  readonly #ringBytes: number;
  #shipped: Lsn;
  #received: Lsn;
  #consumed: Lsn;
  #head: Lsn;

  constructor(limits: Limits, ringBytes: number, start: Lsn) {
    this.#limits = limits;
    this.#ringBytes = ringBytes;
    this.#shipped = start;
    this.#received = start;
    this.#consumed = start;
    this.#head = start;
  }

  /** All log below is in the backup's memory. */
  get received(): Lsn {
    return this.#received;
  }

  /** All log below was sent. */
  get shipped(): Lsn {
    return this.#shipped;
  }

  get consumed(): Lsn {
    return this.#consumed;
  }

  /** The next piece to send, or null. */
  next(head: Lsn): ShipRange | null {
    if (head > this.#head) this.#head = head;
    const room = Math.min(this.#consumed + this.#ringBytes, this.#received + this.#limits.shipWindowBytes);
    const to = Math.min(this.#head, room, this.#shipped + this.#limits.shipChunkBytes);
    if (to <= this.#shipped) return null;
    const range = { from: this.#shipped, to, end: to === this.#head };
    this.#shipped = to;
    return range;
  }

  /** The backup says how far it is. False: it cannot be so, and the peer is not to be trusted. */
  acknowledge(received: Lsn, consumed: Lsn): boolean {
    if (received < this.#received || received > this.#shipped) return false;
    if (consumed < this.#consumed || consumed > received) return false;
    this.#received = received;
    this.#consumed = consumed;
    return true;
  }

  /** A new connection: what was under way is lost, and sent again. False as above. */
  resume(received: Lsn, consumed: Lsn): boolean {
    if (!this.acknowledge(received, consumed)) return false;
    this.#shipped = received;
    return true;
  }
}
