// SPDX-License-Identifier: Apache-2.0
import type { Limits } from '../limits.js';
import type { OnPurposeReason } from '../reasons.js';
import type { Millis } from '../types.js';

/**
 * The VM is switched off on purpose. A goodbye may be lost with its connection, and the backup would bring the VM back:
 * this side ends once nobody else can win the lease, or when it has waited for that long enough.
 */
export class SwitchOff {
  readonly reason: OnPurposeReason;
  readonly detail: string;
  readonly #limits: Limits;
  #since: Millis;

  constructor(limits: Limits, reason: OnPurposeReason, detail: string, now: Millis) {
    this.#limits = limits;
    this.reason = reason;
    this.detail = detail;
    this.#since = now;
  }

  /** This process stood still for so long: the store's answer may lie here unread. */
  ownStall(stalledMs: Millis): void {
    this.#since += stalledMs;
  }

  overdue(now: Millis): boolean {
    return now - this.#since > this.#limits.switchOffClaimMs;
  }
}
