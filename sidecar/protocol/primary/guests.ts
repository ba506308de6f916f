// SPDX-License-Identifier: Apache-2.0
import type { Limits } from '../limits.js';
import type { Outbox } from '../outbox.js';
import type { LinkId, Millis } from '../types.js';

const GUESTS_MAX = 8;

/** Connections accepted that have not said hello yet. Few, and not for long. */
export class Guests {
  readonly #limits: Limits;
  readonly #since = new Map<LinkId, Millis>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  has(link: LinkId): boolean {
    return this.#since.has(link);
  }

  enter(link: LinkId, now: Millis, out: Outbox): void {
    const [oldest] = this.#since.keys();
    if (oldest !== undefined && this.#since.size >= GUESTS_MAX)
      this.#show(oldest, 'too many connections', out);
    this.#since.set(link, now);
  }

  leave(link: LinkId): void {
    this.#since.delete(link);
  }

  tick(now: Millis, out: Outbox): void {
    for (const [link, since] of this.#since) {
      if (now - since > this.#limits.deadAfterMs) this.#show(link, 'no hello came', out);
    }
  }

  #show(link: LinkId, reason: string, out: Outbox): void {
    this.#since.delete(link);
    out.push({ type: 'closeLink', link, reason });
  }
}
