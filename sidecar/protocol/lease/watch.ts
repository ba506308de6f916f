// SPDX-License-Identifier: Apache-2.0
import type { LeaseDesk } from './desk.js';
import type { CertainAnswer, LeaseAnswer, LeaseRecord } from './messages.js';
import type { Limits } from '../limits.js';
import type { Outbox } from '../outbox.js';
import type { LeaseTrouble } from '../reasons.js';
import type { Ground, Term } from './tenure.js';
import type { Millis, Nonce, StoreId } from '../types.js';

/** What an owner's look at the lease means. */
export type Verdict =
  /** As it should be, or good enough to arm the next epoch in. */
  | 'usable'
  /** The armed epoch is not what the store holds (or holds it from an earlier life): arm anew. */
  | 'stale'
  | 'missing'
  | 'foreignStore'
  /** Another has won, or the VM was founded again elsewhere: this side must end. */
  | 'superseded';

/**
 * Judges the key, seen by an owner of `term`; `armed` when its backup may claim. First row that holds:
 *
 * | key                                         | sole owner | armed      |
 * |---------------------------------------------|------------|------------|
 * | reopened, nothing armed                     | usable     | stale      |
 * | another store's                             | foreign    | foreign    |
 * | higher epoch, not armed by this side        | superseded | superseded |
 * | this epoch, won by another                  | superseded | superseded |
 * | this epoch, and a claim would be answered   | usable     | usable     |
 * | this epoch, from an earlier life of a store |            |            |
 * | that is not durable, or a lower epoch       | usable     | stale      |
 */
export function judgeRecord(record: LeaseRecord, term: Term, armed: boolean, me: Nonce): Verdict {
  if (record.epoch === 0) return armed ? 'stale' : 'usable';
  if (record.store !== term.store) return 'foreignStore';
  if (record.epoch > term.epoch) return record.primary === me ? 'usable' : 'superseded';
  if (record.epoch === term.epoch && record.winner !== null && record.winner !== me) return 'superseded';
  if (record.epoch === term.epoch && record.claimable) return 'usable';
  return armed ? 'stale' : 'usable';
}

/** What one look has shown. */
export interface Sight extends Ground {
  readonly verdict: Verdict;
  readonly at: Millis;
}

/** An owner's regular look at the lease, and the reopening of a store that lost its keys. */
export class LeaseWatch {
  readonly #limits: Limits;
  readonly #desk: LeaseDesk;
  readonly #me: Nonce;
  #dueAt: Millis = 0;
  #sight: Sight | null = null;
  #reopens = 0;
  #reopenAskedAt: Millis = 0;

  constructor(limits: Limits, desk: LeaseDesk, me: Nonce) {
    this.#limits = limits;
    this.#desk = desk;
    this.#me = me;
  }

  /** What is wrong with the lease, as last seen. */
  get trouble(): LeaseTrouble | null {
    if (this.#desk.trouble !== null) return this.#desk.trouble;
    const verdict = this.#sight?.verdict;
    return verdict === 'missing' || verdict === 'foreignStore' ? verdict : null;
  }

  /** Where to arm; null: not known, or known too long ago. */
  ground(now: Millis): Ground | null {
    if (this.#desk.trouble !== null || this.#sight === null) return null;
    if (now - this.#sight.at > 2 * this.#limits.peekMs) return null;
    const { verdict } = this.#sight;
    return verdict === 'usable' || verdict === 'stale' ? this.#sight : null;
  }

  /** What was seen or asked before no longer counts: look now. */
  restart(now: Millis): void {
    this.#desk.drop();
    this.#sight = null;
    this.#dueAt = now;
  }

  tick(now: Millis, out: Outbox): void {
    const op = this.#desk.question?.op;
    if (op === 'peek') this.#desk.tick(now, out);
    else if (op === 'reopen') this.#reopenOverdue(now);
    else if (now >= this.#dueAt) this.#desk.ask({ op: 'peek' }, now, out);
  }

  /** There is no key: found the store again, naming nobody. */
  reopen(now: Millis, out: Outbox): void {
    this.#reopens += 1;
    this.#reopenAskedAt = now;
    this.#desk.ask({ op: 'reopen', newStore: storeName(this.#me, this.#reopens) }, now, out);
  }

  /** This answer is to a question of the watch's. */
  owns(id: number): boolean {
    return this.#desk.waitsFor(id);
  }

  /** Returns what was seen, or null. */
  answer(id: number, raw: LeaseAnswer, term: Term, armed: boolean, now: Millis): Sight | null {
    const op = this.#desk.question?.op;
    const answer = this.#desk.answer(id, raw, now);
    if (op === 'reopen') {
      // Whatever came of it, only another look tells. It is never asked twice under one name.
      this.restart(now);
      return null;
    }
    if (answer?.op !== 'peek') return null;
    this.#desk.drop();
    this.#dueAt = now + this.#limits.peekMs;
    this.#sight = this.#interpret(answer, term, armed, now);
    return this.#sight;
  }

  #interpret(answer: Extract<CertainAnswer, { op: 'peek' }>, term: Term, armed: boolean, now: Millis): Sight {
    if (answer.result === 'missing') return { verdict: 'missing', store: '', run: '', at: now };
    const { record } = answer;
    const verdict = judgeRecord(record, term, armed, this.#me);
    return { verdict, store: record.store, run: record.run, at: now };
  }

  #reopenOverdue(now: Millis): void {
    if (now - this.#reopenAskedAt > 2 * this.#limits.leaseTimeoutMs) this.restart(now);
  }
}

const COUNTER_DIGITS = 8;

/** A store name never used before: this incarnation's nonce with a counter in its last digits. */
export function storeName(nonce: Nonce, counter: number): StoreId {
  return nonce.slice(0, -COUNTER_DIGITS) + counter.toString(16).padStart(COUNTER_DIGITS, '0');
}
