// SPDX-License-Identifier: Apache-2.0
import { invariant } from '../invariant.js';
import type { LeaseDesk } from './desk.js';
import type { CertainAnswer } from './messages.js';
import type { Outbox } from '../outbox.js';
import type { Epoch, Millis, Nonce, StoreId } from '../types.js';

type ArmRefusal = Extract<CertainAnswer, { op: 'arm'; result: 'refused' }>['reason'];

/** An epoch in a store. */
export interface Term {
  readonly epoch: Epoch;
  readonly store: StoreId;
}

/** A store that can be armed in, and the life of it that was seen. */
export interface Ground {
  readonly store: StoreId;
  readonly run: string;
}

interface Candidate extends Term {
  readonly run: string;
  readonly backup: Nonce;
}

interface Pending extends Candidate {
  /** Arm was asked, and no certain refusal of all attempts has come: it may be in force. */
  asked: boolean;
}

/** What an answer has settled. */
export type TenureNews =
  | { readonly type: 'armed'; readonly term: Term }
  /** No attempt was carried out. */
  | { readonly type: 'armRefused'; readonly reason: ArmRefusal }
  /** This attempt was not carried out, an earlier one may have been: only a new promise helps. */
  | { readonly type: 'armDoubtful'; readonly reason: ArmRefusal }
  /** Sole owner again. */
  | { readonly type: 'sole' }
  | { readonly type: 'won'; readonly term: Term }
  | { readonly type: 'lost' };

/**
 * An owner's knowledge of who may win what. Four things can be in force:
 *
 * - `owned`: this side has won this epoch; nobody can win it any more. Sole owner.
 * - `armed`: either side may win this epoch.
 * - `candidate`: an epoch the backup was asked to promise itself to.
 * - `pending`: an epoch the backup has promised itself to. Only then arm is asked.
 *
 * A promise binds the backup to that epoch alone, and says that it has not begun to claim. So what was armed or
 * pending before is void for it. When the backup is gone, exactly one of these is right (`takeBack`):
 *
 * | pending asked | owned | armed | void | the owner                                                      |
 * |---------------|-------|-------|------|----------------------------------------------------------------|
 * | yes           | any   | any   | any  | makes sure that pending is armed, then claims it               |
 * | no            | yes   | no    | -    | is sole owner: nobody else was ever able to claim              |
 * | no            | no    | yes   | no   | claims the armed epoch                                         |
 * | no            | no    | yes   | yes  | arms a new epoch without a backup when the store can be used   |
 */
export class Tenure {
  readonly #me: Nonce;
  readonly #desk: LeaseDesk;
  #owned: Term | null;
  #armed: Term | null = null;
  #armedVoid = false;
  #candidate: Candidate | null = null;
  #pending: Pending | null = null;
  #highest: Epoch;
  #takingBack = false;

  constructor(me: Nonce, desk: LeaseDesk, owned: Term) {
    this.#me = me;
    this.#desk = desk;
    this.#owned = owned;
    this.#highest = owned.epoch;
  }

  /** The epoch that this side answers for. */
  get term(): Term {
    const term = this.#armed ?? this.#owned;
    invariant(term !== null, 'an owner has an epoch');
    return term;
  }

  get armed(): boolean {
    return this.#armed !== null;
  }

  /** The backup could win something: it is worth telling it to take over. */
  get backupMayWin(): boolean {
    return this.asked || (this.#armed !== null && !this.#armedVoid);
  }

  /** A new epoch is on its way. */
  get moving(): boolean {
    return this.#candidate !== null || this.#pending !== null;
  }

  /** The promise that the backup was asked for and has not given. */
  get candidate(): (Term & Ground) | null {
    return this.#candidate;
  }

  /** The backup has promised, and arm is not asked yet. */
  get mayArm(): boolean {
    return this.#pending?.asked === false;
  }

  get asked(): boolean {
    return this.#pending?.asked === true;
  }

  /** The backup is bound to an epoch that will never be in force: it can win nothing until the next one. */
  get backupBoundInVain(): boolean {
    return this.#armedVoid && this.#pending === null;
  }

  /** Waits for a usable store, to take the VM back in a new epoch. */
  get awaitsStore(): boolean {
    return this.#takingBack && !this.asked && this.#armed !== null && this.#armedVoid;
  }

  /** Begins a new epoch; the caller asks the backup for its promise. */
  prepare(ground: Ground, backup: Nonce): Term {
    this.#candidate = this.#next(ground, backup);
    return this.#candidate;
  }

  /** The backup has promised. False: it was never asked for that. */
  promise(epoch: Epoch, store: StoreId): boolean {
    if (epoch > this.#highest) return false;
    if (this.#armed !== null && epoch > this.#armed.epoch) this.#armedVoid = true;
    const candidate = this.#candidate;
    if (candidate?.epoch !== epoch) return true; // overtaken, or said twice
    if (candidate.store !== store) return false;
    // What was asked for before is void: its answer does not matter any more.
    this.#desk.drop();
    this.#pending = { ...candidate, asked: false };
    this.#candidate = null;
    return true;
  }

  arm(now: Millis, out: Outbox): void {
    const pending = this.#pending;
    invariant(pending !== null && !pending.asked, 'arm is asked once, and after the promise');
    this.#askArm(pending, now, out);
  }

  /** The backup is gone. `sole`: nothing to ask; else an answer will bring news. */
  takeBack(now: Millis, out: Outbox): 'sole' | 'asked' {
    this.#takingBack = true;
    this.#candidate = null;
    if (this.asked) return 'asked'; // the question stands; its history of attempts must not be forgotten
    this.#pending = null;
    if (this.#armed === null) {
      this.#takingBack = false;
      return 'sole';
    }
    if (!this.#armedVoid) this.#askClaim(this.#armed, now, out);
    return 'asked';
  }

  /** The store can be used: go on if that was waited for. */
  storeUsable(ground: Ground, now: Millis, out: Outbox): void {
    if (!this.awaitsStore) return;
    // The backup is bound to an epoch that is not in force: nobody but this side can win what comes now.
    this.#pending = { ...this.#next(ground, ''), asked: false };
    this.#askArm(this.#pending, now, out);
  }

  /** An answer to the desk's question. */
  answer(answer: CertainAnswer, now: Millis, out: Outbox): TenureNews | null {
    if (answer.op === 'claim') return this.#claimAnswered(answer.result);
    if (answer.op !== 'arm') return null;
    return answer.result === 'ok' ? this.#armLanded(now, out) : this.#armRefused(answer.reason);
  }

  #next(ground: Ground, backup: Nonce): Candidate {
    this.#highest += 1;
    return { epoch: this.#highest, store: ground.store, run: ground.run, backup };
  }

  #askArm(pending: Pending, now: Millis, out: Outbox): void {
    pending.asked = true;
    const { store, run, epoch, backup } = pending;
    this.#desk.ask({ op: 'arm', store, run, epoch, primary: this.#me, backup }, now, out);
  }

  #askClaim(term: Term, now: Millis, out: Outbox): void {
    this.#desk.ask({ op: 'claim', store: term.store, epoch: term.epoch, nonce: this.#me }, now, out);
  }

  #claimAnswered(result: 'won' | 'lost'): TenureNews {
    this.#desk.drop();
    if (result === 'lost') return { type: 'lost' };
    const term = this.term;
    this.#owned = term;
    this.#armed = null;
    this.#armedVoid = false;
    this.#candidate = null;
    this.#pending = null;
    this.#takingBack = false;
    return { type: 'won', term };
  }

  #armLanded(now: Millis, out: Outbox): TenureNews | null {
    const pending = this.#pending;
    invariant(pending !== null, 'arm is answered while it is pending');
    this.#armed = { epoch: pending.epoch, store: pending.store };
    this.#armedVoid = false;
    this.#owned = null;
    this.#pending = null;
    this.#desk.drop();
    if (!this.#takingBack) return { type: 'armed', term: this.#armed };
    this.#askClaim(this.#armed, now, out);
    return null;
  }

  #armRefused(reason: ArmRefusal): TenureNews | null {
    // Our own attempt would have been answered `ok`: another's epoch is there.
    if (reason === 'epochHigher' || reason === 'notOwner') return { type: 'lost' };
    // Another attempt may have been carried out: the backup may have won before the keys went. Ask on.
    if (this.#desk.undecided > 0) return this.#takingBack ? null : { type: 'armDoubtful', reason };
    this.#pending = null;
    this.#desk.drop();
    if (!this.#takingBack) return { type: 'armRefused', reason };
    if (this.#armed !== null) return null; // awaitsStore
    this.#takingBack = false;
    return { type: 'sole' };
  }
}
