// SPDX-License-Identifier: Apache-2.0
import type { AckFrame, ResumePoint } from '../frames.js';
import { invariant } from '../invariant.js';
import type { Limits } from '../limits.js';
import type { Comparison } from './retained.js';
import { RetainedOutputs } from './retained.js';
import { StuckWatch } from './stuck.js';
import type { Hash, Lsn, Millis, Nonce } from '../types.js';

/** A backup's place in the log, and what it has promised about it. */
export class Replay {
  readonly outputs: RetainedOutputs;
  readonly #stuck: StuckWatch;
  #received: Lsn;
  #consumed: Lsn;
  #acked: Lsn;
  /** The newest known end of an event. */
  #end: Lsn;
  #floor: Lsn;

  constructor(limits: Limits, start: Lsn, now: Millis) {
    this.outputs = new RetainedOutputs(limits);
    this.#stuck = new StuckWatch(limits, start, now);
    this.#received = start;
    this.#consumed = start;
    this.#acked = start;
    this.#end = start;
    this.#floor = start;
  }

  get received(): Lsn {
    return this.#received;
  }

  get consumed(): Lsn {
    return this.#consumed;
  }

  get acked(): Lsn {
    return this.#acked;
  }

  /** The last end of an event that was acknowledged: an engine that goes live below it has lost something. */
  get floor(): Lsn {
    return this.#floor;
  }

  receive(lsn: Lsn, eventEnds: boolean): void {
    invariant(lsn >= this.#received, 'log is received in order');
    this.#received = lsn;
    if (eventEnds) this.#end = lsn;
  }

  advance(lsn: Lsn): void {
    if (lsn > this.#consumed) this.#consumed = Math.min(lsn, this.#received);
  }

  digest(n: number, lsn: Lsn, hash: Hash): Comparison {
    // The head that an output waits for is where an event ends, too.
    if (lsn <= this.#acked && lsn > this.#floor) this.#floor = lsn;
    return this.outputs.digest(n, lsn, hash);
  }

  /** The promise to the primary. */
  acknowledge(): AckFrame {
    this.#promiseReceived();
    return {
      type: 'ack',
      received: this.#received,
      consumed: this.#consumed,
      compared: this.outputs.compared,
    };
  }

  /** What a resumed hello says; the same promise. */
  resumePoint(primary: Nonce): ResumePoint {
    this.#promiseReceived();
    return {
      primary,
      received: this.#received,
      consumed: this.#consumed,
      compared: this.outputs.compared,
    };
  }

  /** Nothing was replayed for too long although there is log, or (`promoted`) although going live is due. */
  stuck(promoted: boolean, now: Millis): boolean {
    return this.#stuck.judge(this.#consumed, promoted ? Infinity : this.#received, now);
  }

  /** As `stuck`, when no more log comes: it may end in the middle of an event, which no engine can replay. */
  stuckAtEnd(now: Millis): boolean {
    return this.#stuck.judge(this.#consumed, this.#floor, now);
  }

  stalled(stalledMs: Millis): void {
    this.#stuck.ownStall(stalledMs);
  }

  /** From now on something is expected of the engine. */
  begins(now: Millis): void {
    this.#stuck.restart(now);
  }

  #promiseReceived(): void {
    this.#acked = this.#received;
    this.#floor = Math.max(this.#floor, this.#end);
  }
}
