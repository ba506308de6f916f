// SPDX-License-Identifier: Apache-2.0
import { invariant } from '../invariant.js';
import type { CertainAnswer, LeaseAnswer, LeaseRequest } from './messages.js';
import type { Limits } from '../limits.js';
import type { Outbox } from '../outbox.js';
import type { LeaseTrouble } from '../reasons.js';
import type { Millis } from '../types.js';

/** Numbers requests; one for all desks of a sidecar, so that an answer finds the right one. */
export class RequestIds {
  #last = 0;

  next(): number {
    this.#last += 1;
    return this.#last;
  }
}

/**
 * Puts one question to the lease store until there is an answer that is certain. Unknown is not an answer: the
 * question is put again, for as long as it stands, with a pause that grows to `leaseRetryMaxMs`.
 * An earlier attempt's certain answer is as good as the last one's: all operations are idempotent.
 */
export class LeaseDesk {
  readonly #limits: Limits;
  readonly #ids: RequestIds;
  #question: LeaseRequest | null = null;
  readonly #waiting = new Set<number>();
  #unsettled = 0;
  #askedAt: Millis = 0;
  #retryAt: Millis = 0;
  #pauseMs: Millis = 0;
  #trouble: LeaseTrouble | null = null;

  constructor(limits: Limits, ids: RequestIds) {
    this.#limits = limits;
    this.#ids = ids;
  }

  get question(): LeaseRequest | null {
    return this.#question;
  }

  /** Why the question is still open, as last heard. */
  get trouble(): LeaseTrouble | null {
    return this.#trouble;
  }

  /** Attempts of this question that may have been carried out, or may still be, without our knowing. */
  get undecided(): number {
    return this.#waiting.size + this.#unsettled;
  }

  waitsFor(id: number): boolean {
    return this.#waiting.has(id);
  }

  /** Puts a new question; the one before, if any, is dropped and its answers are ignored. */
  ask(request: LeaseRequest, now: Millis, out: Outbox): void {
    this.drop();
    this.#question = request;
    this.#pauseMs = this.#limits.leaseRetryMs;
    this.#put(now, out);
  }

  drop(): void {
    this.#question = null;
    this.#waiting.clear();
    this.#unsettled = 0;
    this.#trouble = null;
  }

  tick(now: Millis, out: Outbox): void {
    if (this.#question === null) return;
    // The I/O side answers in time, always. If it does not, that is no reason to wait for ever.
    if (this.#waiting.size > 0 && now - this.#askedAt > 2 * this.#limits.leaseTimeoutMs)
      this.#giveUpWaiting(now);
    if (this.#waiting.size === 0 && now >= this.#retryAt) this.#put(now, out);
  }

  /**
   * An answer has come. Returns it if it is certain and belongs to the question that stands; the question stays
   * until `ask` or `drop`, because a refusal may call for another attempt.
   */
  answer(id: number, answer: LeaseAnswer, now: Millis): CertainAnswer | null {
    if (!this.#waiting.delete(id)) return null;
    invariant(answer.op === this.#question?.op, 'an answer is of the same operation as its question');
    if (answer.result === 'unknown') {
      this.#unsettled += 1;
      this.#trouble = answer.reason;
      this.#pause(now);
      return null;
    }
    this.#trouble = null;
    this.#pause(now);
    return answer;
  }

  #put(now: Millis, out: Outbox): void {
    if (this.#question === null) return;
    const id = this.#ids.next();
    this.#waiting.add(id);
    this.#askedAt = now;
    out.push({ type: 'lease', id, request: this.#question });
  }

  #giveUpWaiting(now: Millis): void {
    this.#unsettled += this.#waiting.size;
    this.#waiting.clear();
    this.#trouble = 'timeout';
    this.#pause(now);
  }

  #pause(now: Millis): void {
    this.#retryAt = now + this.#pauseMs;
    this.#pauseMs = Math.min(this.#pauseMs * 2, this.#limits.leaseRetryMaxMs);
  }
}
