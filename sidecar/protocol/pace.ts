// SPDX-License-Identifier: Apache-2.0
import type { Limits } from './limits.js';
import type { Millis } from './types.js';

/** The guest stands still. */
export const HOLD_PERMILLE = 1_000;

/** Why the guest is held, apart from lag. */
export type HoldReason = 'outputsFull' | 'digestsFull' | 'handover';

/** Share of the vCPU's time to take away: small steps against lag, all of it while somebody holds. */
export class Pace {
  readonly #limits: Limits;
  readonly #holds = new Set<HoldReason>();
  #slowPermille = 0;
  #steppedAt: Millis | null = null;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get permille(): number {
    return this.#holds.size > 0 ? HOLD_PERMILLE : this.#slowPermille;
  }

  hold(reason: HoldReason, on: boolean): void {
    if (on) this.#holds.add(reason);
    else this.#holds.delete(reason);
  }

  /** One step down while the lag is beyond its bound, one up again once it is small. */
  steer(lagMs: Millis, now: Millis): void {
    if (this.#steppedAt !== null && now - this.#steppedAt < this.#limits.paceStepMs) return;
    const { lagBoundMs, lagNoteMs, paceStepPermille, paceMaxPermille } = this.#limits;
    if (lagMs > lagBoundMs)
      this.#slowPermille = Math.min(paceMaxPermille, this.#slowPermille + paceStepPermille);
    else if (lagMs < lagNoteMs) this.#slowPermille = Math.max(0, this.#slowPermille - paceStepPermille);
    else return;
    this.#steppedAt = now;
  }

  /** No backup, no lag: the guest runs freely. */
  reset(): void {
    this.#slowPermille = 0;
    this.#steppedAt = null;
  }
}
