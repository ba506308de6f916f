// SPDX-License-Identifier: Apache-2.0
import type { Limits } from '../limits.js';
import type { Outbox } from '../outbox.js';
import type { Millis } from '../types.js';

/**
 * Tells the network where the guest is now: at once, and again after pauses that double. A switch that misses the one frame,
 * or hears one of the old host's after it, would send what is for the guest to a host that is dead until it forgets.
 * (QEMU and hypervisors repeat theirs for the same reason.) Only while nobody else may be owner: a late one would take
 * the guest's packets away from whoever runs it.
 */
export class Announcer {
  #left = 0;
  #pauseMs: Millis = 0;
  #at: Millis = 0;

  constructor(private readonly limits: Limits) {}

  /** The guest has come to this host. */
  begin(now: Millis, out: Outbox): void {
    this.#left = this.limits.announceTimes;
    this.#pauseMs = this.limits.announceAgainMs;
    this.#announce(now, out);
  }

  tick(now: Millis, out: Outbox): void {
    if (this.#left > 0 && now >= this.#at) this.#announce(now, out);
  }

  /** Another side may become owner from now on. */
  end(): void {
    this.#left = 0;
  }

  #announce(now: Millis, out: Outbox): void {
    out.push({ type: 'announce' });
    this.#left -= 1;
    this.#at = now + this.#pauseMs;
    this.#pauseMs *= 2;
  }
}
