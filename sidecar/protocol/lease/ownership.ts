// SPDX-License-Identifier: Apache-2.0
import type { ColdStart } from '../config.js';
import type { Context } from '../context.js';
import type { Frame } from '../frames.js';
import { invariant } from '../invariant.js';
import { LeaseDesk } from './desk.js';
import type { CertainAnswer, LeaseAnswer } from './messages.js';
import type { Sight } from './watch.js';
import { LeaseWatch, storeName } from './watch.js';
import type { Outbox } from '../outbox.js';
import type { LeaseTrouble } from '../reasons.js';
import type { TenureNews, Term } from './tenure.js';
import { Tenure } from './tenure.js';
import type { Epoch, Millis, Nonce, StoreId } from '../types.js';

/** What an answer of the lease store means for an owner. */
export type OwnershipNews =
  | { readonly type: 'founded'; readonly epoch: Epoch }
  | { readonly type: 'foundRefused'; readonly detail: string }
  /** The backup has to promise itself to this epoch: the armed one is not in force any more. */
  | { readonly type: 'rearm'; readonly term: Term }
  /** Another owner is there. */
  | { readonly type: 'superseded' }
  | Exclude<TenureNews, { type: 'armDoubtful' }>;

type FoundAnswer = Extract<CertainAnswer, { op: 'found' | 'refound' }>;

/**
 * An owner's dealings with the lease: it founds the VM or has won it, looks at the lease from time to time, arms
 * epochs for its backup (anew, when the store is not what it was), and takes the VM back when the backup is gone.
 */
export class Ownership {
  readonly #me: Nonce;
  readonly #desk: LeaseDesk;
  readonly #watch: LeaseWatch;
  #tenure: Tenure | null = null;
  /** Whether the epoch asked for is armed cannot be found out: arm another one. */
  #doubt = false;

  private constructor({ config, ids }: Context) {
    this.#me = config.nonce;
    this.#desk = new LeaseDesk(config.limits, ids);
    this.#watch = new LeaseWatch(config.limits, new LeaseDesk(config.limits, ids), config.nonce);
  }

  /** Of a VM that starts: asked for, and not there before the store has agreed. */
  static found(context: Context, start: ColdStart, now: Millis, out: Outbox): Ownership {
    const ownership = new Ownership(context);
    const { nonce } = context.config;
    const request =
      start.kind === 'found'
        ? ({ op: 'found', store: storeName(nonce, 0), nonce } as const)
        : ({ op: 'refound', expectEpoch: start.expectEpoch, nonce } as const);
    ownership.#desk.ask(request, now, out);
    return ownership;
  }

  /** Of an epoch that this side has won. */
  static won(context: Context, term: Term, now: Millis): Ownership {
    const ownership = new Ownership(context);
    ownership.#begin(term, now);
    return ownership;
  }

  /** The epoch that this side answers for; 0: none yet. */
  get epoch(): Epoch {
    return this.#tenure?.term.epoch ?? 0;
  }

  /** Why the lease cannot be relied on, as last heard or seen. */
  get trouble(): LeaseTrouble | null {
    return this.#desk.trouble ?? this.#watch.trouble;
  }

  /** The backup could win something: nobody is sole owner before a claim is answered. */
  get backupMayWin(): boolean {
    return this.#tenure?.backupMayWin ?? false;
  }

  /** An epoch is armed, and the next one is not under way. */
  get settled(): boolean {
    return this.#tenure?.armed === true && !this.#tenure.moving;
  }

  /** An epoch is armed, and the next one is under way. */
  get rearming(): boolean {
    return this.#tenure?.armed === true && this.#tenure.moving;
  }

  /** The backup has promised, and arm is not asked yet. */
  get mayArm(): boolean {
    return this.#tenure?.mayArm ?? false;
  }

  /** An epoch could be armed: the store was seen lately, and can be used. */
  canPrepare(now: Millis): boolean {
    return this.#tenure !== null && this.#watch.ground(now) !== null;
  }

  tick(now: Millis, out: Outbox): void {
    this.#desk.tick(now, out);
    if (this.#tenure !== null) this.#watch.tick(now, out);
  }

  /** What was seen before may be old: look now. */
  lookAgain(now: Millis): void {
    this.#watch.restart(now);
  }

  /** A new epoch, for which the backup has to be asked for its promise; null: the store cannot be used. */
  prepare(backup: Nonce, now: Millis): Term | null {
    const ground = this.#watch.ground(now);
    return ground === null || this.#tenure === null ? null : this.#tenure.prepare(ground, backup);
  }

  /** The backup has promised. False: it was never asked for that. */
  promise(epoch: Epoch, store: StoreId): boolean {
    return this.#tenure?.promise(epoch, store) ?? false;
  }

  arm(now: Millis, out: Outbox): void {
    this.#tenure?.arm(now, out);
  }

  /** What the backup was told or asked, and a broken connection may have swallowed. */
  standingFrames(): Frame[] {
    const tenure = this.#tenure;
    if (tenure === null) return [];
    const { candidate, term } = tenure;
    const frames: Frame[] = [];
    if (tenure.armed) frames.push({ type: 'armed', epoch: term.epoch });
    if (candidate !== null) frames.push({ type: 'prepare', epoch: candidate.epoch, store: candidate.store });
    return frames;
  }

  /** The backup is gone. `sole`: nothing to ask; else an answer will bring news. */
  takeBack(now: Millis, out: Outbox): 'sole' | 'asked' {
    this.#doubt = false;
    this.#watch.restart(now);
    invariant(this.#tenure !== null, 'only an owner has a backup to lose');
    return this.#tenure.takeBack(now, out);
  }

  /** An answer has come. `backup`: whom an epoch may be armed for now. Null: it changes nothing. */
  answer(
    id: number,
    answer: LeaseAnswer,
    backup: Nonce | null,
    now: Millis,
    out: Outbox,
  ): OwnershipNews | null {
    if (this.#watch.owns(id)) return this.#look(id, answer, backup, now, out);
    const certain = this.#desk.answer(id, answer, now);
    if (certain === null) return null;
    if (certain.op === 'found' || certain.op === 'refound') return this.#founded(certain, now);
    const news = this.#tenure?.answer(certain, now, out) ?? null;
    if (news === null) return null;
    this.#watch.restart(now);
    return this.#settle(news, out);
  }

  #begin(term: Term, now: Millis): void {
    this.#tenure = new Tenure(this.#me, this.#desk, term);
    this.#watch.restart(now);
  }

  #founded(answer: FoundAnswer, now: Millis): OwnershipNews {
    this.#desk.drop();
    if (answer.result === 'refused') return { type: 'foundRefused', detail: answer.detail };
    const { store, epoch } = answer;
    this.#begin({ store, epoch }, now);
    return { type: 'founded', epoch };
  }

  #settle(news: TenureNews, out: Outbox): OwnershipNews | null {
    if (news.type === 'armRefused') out.report('warn', news.reason, 'the lease store refused to arm');
    if (news.type !== 'armDoubtful') return news;
    this.#doubt = true;
    const message = 'it is not known whether the epoch is armed; asking for a new promise';
    out.report('warn', news.reason, message);
    return null;
  }

  #look(
    id: number,
    answer: LeaseAnswer,
    backup: Nonce | null,
    now: Millis,
    out: Outbox,
  ): OwnershipNews | null {
    const tenure = this.#tenure;
    if (tenure === null) return null;
    const sight = this.#watch.answer(id, answer, tenure.term, tenure.armed, now);
    switch (sight?.verdict) {
      case undefined:
        return null;
      case 'superseded':
        return { type: 'superseded' };
      case 'missing':
        out.report('warn', 'missing', 'the lease store has lost its keys; reopening it');
        this.#watch.reopen(now, out);
        return null;
      case 'foreignStore': {
        const message = `the lease store holds another life, ${sight.store}; a person must look`;
        out.report('error', 'foreignStore', message);
        return null;
      }
      case 'usable':
      case 'stale':
        tenure.storeUsable(sight, now, out);
        return backup === null ? null : this.#rearm(tenure, sight, backup);
    }
  }

  /** The armed epoch is not in force in the store any more: a new one, after the backup's promise. */
  #rearm(tenure: Tenure, sight: Sight, backup: Nonce): OwnershipNews | null {
    const due = sight.verdict === 'stale' || this.#doubt || tenure.backupBoundInVain;
    if (!due) return null;
    // Under way, or asked: an answer will come.
    if (tenure.candidate?.store === sight.store && tenure.candidate.run === sight.run) return null;
    if (tenure.asked && !this.#doubt) return null;
    this.#doubt = false;
    return { type: 'rearm', term: tenure.prepare(sight, backup) };
  }
}
