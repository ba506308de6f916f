// SPDX-License-Identifier: Apache-2.0
import type { ReleaseLimit } from '../effects.js';
import { Fifo } from '../fifo.js';
import { invariant } from '../invariant.js';
import type { Limits } from '../limits.js';
import type { Lsn } from '../types.js';

/** By what right outputs may leave. `nobody`: by none, they wait. */
export type GateRule = 'nobody' | 'ack' | 'owner';

export interface HeldOutput {
  /** Index of the output in this engine incarnation, from 1. */
  readonly index: number;
  /** Head of the log when it was made: it may leave once all log below is safe. */
  readonly head: Lsn;
  readonly bytes: number;
}

export interface Release {
  readonly through: number;
  readonly limit: ReleaseLimit;
}

/**
 * The output rule: an output made when the log's head was L leaves when the backup has acknowledged all
 * log below L, or at once if this side is the sole owner. In order, always.
 */
export class OutputGate {
  readonly #limits: Limits;
  readonly #held = new Fifo<HeldOutput>();
  #heldBytes = 0;
  #rule: GateRule = 'nobody';
  #acked: Lsn = 0;
  #suspended = false;
  #full = false;
  #lastIndex: number;

  constructor(limits: Limits, lastIndex: number) {
    this.#limits = limits;
    this.#lastIndex = lastIndex;
  }

  get rule(): GateRule {
    return this.#rule;
  }

  get heldOutputs(): number {
    return this.#held.length;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** True from when a bound is reached until well below it again: the guest must be held. */
  get full(): boolean {
    return this.#full;
  }

  /** True: so far beyond the bound that holding the guest evidently does not work. */
  get overflowing(): boolean {
    const { heldOutputsMax, holdSlackOutputs, heldBytesMax, holdSlackBytes } = this.#limits;
    return (
      this.#held.length > heldOutputsMax + holdSlackOutputs || this.#heldBytes > heldBytesMax + holdSlackBytes
    );
  }

  put(output: HeldOutput): void {
    invariant(output.index === this.#lastIndex + 1, 'outputs are numbered without gaps');
    this.#lastIndex = output.index;
    this.#held.push(output);
    this.#heldBytes += output.bytes;
    this.#judgeFullness();
  }

  /** From now on outputs leave by this right. For `ack`, `acked` is where the acknowledgements begin. */
  setRule(rule: GateRule, acked: Lsn = 0): void {
    this.#rule = rule;
    this.#acked = acked;
  }

  acknowledge(lsn: Lsn): void {
    if (lsn > this.#acked) this.#acked = lsn;
  }

  /** While suspended nothing leaves, whatever the rule. */
  suspend(on: boolean): void {
    this.#suspended = on;
  }

  /** What may leave now, or null. The caller makes it an effect: it counts as gone. */
  release(): Release | null {
    if (this.#suspended || this.#rule === 'nobody') return null;
    const last = this.#held.shiftWhile((output) => {
      if (!this.#mayLeave(output)) return false;
      this.#heldBytes -= output.bytes;
      return true;
    });
    if (last === undefined) return null;
    this.#judgeFullness();
    const limit: ReleaseLimit = this.#rule === 'owner' ? { by: 'owner' } : { by: 'ack', acked: this.#acked };
    return { through: last.index, limit };
  }

  #mayLeave(output: HeldOutput): boolean {
    return this.#rule === 'owner' || output.head <= this.#acked;
  }

  #judgeFullness(): void {
    const { heldOutputsMax, heldBytesMax, heldResumePermille } = this.#limits;
    const share = Math.max(this.#held.length / heldOutputsMax, this.#heldBytes / heldBytesMax);
    if (share >= 1) this.#full = true;
    else if (share * 1000 < heldResumePermille) this.#full = false;
  }
}
