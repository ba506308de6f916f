// SPDX-License-Identifier: Apache-2.0
import type { Effect } from '../../sidecar/protocol/effects.js';
import { LOSS_REASONS } from '../../sidecar/protocol/reasons.js';
import type { Incarnation } from './incarnation.js';
import { Violation } from './safety.js';

/** Words of which each needs a fault that explains it. Null: nothing explains it. */
const EXPLAINED_BY: Readonly<Record<string, ((who: Incarnation) => boolean) | null>> = {
  broken: null,
  replayShort: null,
  overflow: null,
  divergence: (who) => who.machine.diverged,
  logCorrupt: (who) => who.wasStuck,
  stuck: (who) => who.wasStuck,
  stuckAfterWin: (who) => who.wasStuck,
  engineFailed: (who) => who.state === 'failed' || who.wasStuck,
};

const LOSSES: ReadonlySet<string> = new Set(LOSS_REASONS);

/** Obligation 8: what a side says when it gives up, or gives its peer up, must have happened. */
export class Judge {
  /** No fault is ever injected in this run: nobody may lose anybody. */
  calm = false;
  /** Faults since the pair last stood whole. */
  #disturbances = 0;
  #wasWhole = false;

  effects(who: Incarnation, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === 'end') this.#ended(who, effect.reason, effect.detail);
      else if (effect.type === 'report') this.#reported(who, effect.reason, effect.message);
    }
  }

  disturbed(faults: number): void {
    this.#disturbances += faults;
  }

  /** Protected, and no fault lasts that could still do harm. */
  whole(): void {
    this.#disturbances = 0;
    this.#wasWhole = true;
  }

  /** A protected pair lives through any one fault; a VM without a backup, through none. */
  coldRestart(): void {
    const needed = this.#wasWhole ? 2 : 1;
    if (this.#disturbances >= needed) return;
    throw new Violation(`cold restart after ${this.#disturbances} faults`);
  }

  #ended(who: Incarnation, reason: string, detail: string): void {
    if (this.calm) throw new Violation(`${who.name} ends without any fault: ${reason}, ${detail}`);
    const explained = EXPLAINED_BY[reason];
    if (explained === undefined || explained?.(who) === true) return;
    throw new Violation(`${who.name} ends for no reason: ${reason}, ${detail}`);
  }

  #reported(who: Incarnation, reason: string, message: string): void {
    if (this.calm && LOSSES.has(reason)) {
      throw new Violation(`${who.name} loses its peer without any fault: ${reason}, ${message}`);
    }
    if (reason === 'violation') throw new Violation(`${who.name} finds a mistake of its peer: ${message}`);
    if (reason === 'overflow' && who.status?.role === 'primary') {
      throw new Violation(`${who.name} is not held in time: ${message}`);
    }
    if (reason === 'silence' && who.hasUnread) {
      throw new Violation(`${who.name} holds its peer for dead and has not read what it sent`);
    }
  }
}
