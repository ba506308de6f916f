// SPDX-License-Identifier: Apache-2.0
/**
 * What the requests to one disk wait for, on either side. A primary's is carried out in its turn, and its number is told to
 * the backup with how it came out. A backup's waits until that is known, and is then carried out alike; from the promotion
 * on, what is not known is carried out as well, once the image knows its new owner. Whoever carries requests out asks for
 * `work` after each change, and says when each is done.
 */
import type { CopySource } from './copy-source.js';
import type { CopyTarget } from './copy-target.js';
import { RequestOrder } from './order.js';
import { KnownOutcomes, type NumberedOutcome } from './outcomes.js';
import { isMutation, type DiskOutcome, type DiskRequest } from './request.js';

/** `free`: no backup knows of the requests. `lead`: one does. `follow`: as one. `promoted`: not any more. */
type Part = 'free' | 'lead' | 'follow' | 'promoted';

interface Entry {
  readonly id: number;
  /** Counted from the clone point; 0: no backup knows of it. */
  readonly k: number;
  readonly request: DiskRequest;
  /** Nothing that came before it is in its way. */
  isNext: boolean;
  /** How the primary's came out; null: not known, or nobody's but ours. */
  told: DiskOutcome | null;
}

export interface DeskStart {
  readonly id: number;
  /** It is to come out so; null: as it comes. */
  readonly told: DiskOutcome | null;
}

export interface DeskWork {
  /** To be carried out now. */
  readonly starts: readonly DeskStart[];
  /** Blocks of the image on its way out, to be read before anything changes them. */
  readonly saves: ReadonlySet<number>;
  /** Blocks of the image on its way in that a request waits for. */
  readonly wants: ReadonlySet<number>;
}

export class DiskDesk {
  #part: Part = 'free';
  #count = 0;
  #known = new KnownOutcomes();
  #isOwned = false;
  #isPrepared = true;
  readonly #order = new RequestOrder();
  readonly #waiting = new Map<number, Entry>();
  readonly #underWay = new Map<number, Entry>();
  /** The image on its way to a new backup. `isFull`: so much waits to be sent that the guest has to wait, too. */
  outgoing: { readonly source: CopySource; readonly isFull: () => boolean } | null = null;
  /** The image on its way in. */
  incoming: CopyTarget | null = null;

  get isIdle(): boolean {
    return this.#waiting.size === 0 && this.#underWay.size === 0;
  }

  /** The image bears this side's name as its owner: it may be changed by right of that. */
  own(isOwned: boolean): void {
    this.#isOwned = isOwned;
  }

  /** Primary, at the clone point: the next request is the first. */
  lead(): void {
    this.#part = 'lead';
    this.#count = 0;
  }

  /** Primary: there is no backup any more. */
  free(): void {
    this.#part = 'free';
    this.outgoing = null;
  }

  /** Backup: the next request is the first after the clone point. */
  follow(): void {
    this.#part = 'follow';
    this.#count = 0;
    this.#known = new KnownOutcomes();
  }

  /** Backup: until its old contents are gone, nothing touches the image. */
  prepare(isPrepared: boolean): void {
    this.#isPrepared = isPrepared;
  }

  /** Backup: no outcome comes any more. */
  promote(): void {
    this.#part = 'promoted';
  }

  learn(outcome: NumberedOutcome): void {
    this.#known.learn(outcome);
  }

  /** A request of the guest has come. */
  take(id: number, request: DiskRequest): void {
    if (this.#part !== 'free') this.#count += 1;
    const k = this.#part === 'free' ? 0 : this.#count;
    const isNext = this.#order.add(id, request);
    this.#waiting.set(id, { id, k, request, isNext, told: null });
  }

  work(): DeskWork {
    const work = { starts: new Array<DeskStart>(), saves: new Set<number>(), wants: new Set<number>() };
    for (const entry of [...this.#waiting.values()]) {
      if (!this.#mayStart(entry, work)) continue;
      this.#waiting.delete(entry.id);
      this.#underWay.set(entry.id, entry);
      work.starts.push({ id: entry.id, told: entry.told });
    }
    return work;
  }

  /** It was carried out. Returns its number for the backup; 0: there is none to tell. */
  finish(id: number): number {
    const entry = this.#underWay.get(id);
    this.#underWay.delete(id);
    for (const next of this.#order.finish(id)) {
      const waiting = this.#waiting.get(next);
      if (waiting !== undefined) waiting.isNext = true;
    }
    return this.#part === 'lead' ? (entry?.k ?? 0) : 0;
  }

  /** The connection that they came by is gone. */
  clear(): void {
    this.#waiting.clear();
  }

  #mayStart(entry: Entry, { saves, wants }: { saves: Set<number>; wants: Set<number> }): boolean {
    if (!entry.isNext || !this.#isPrepared) return false;
    if (this.#part === 'follow' || this.#part === 'promoted') entry.told ??= this.#known.take(entry.k);
    if (entry.told === null && this.#part === 'follow') return false;
    if (entry.told === null && !this.#isOwned && entry.request.kind !== 'read') return false;
    return this.#isHere(entry, wants) && this.#isSaved(entry, saves);
  }

  /** What the request touches has come in. */
  #isHere({ request, told }: Entry, wants: Set<number>): boolean {
    if (this.incoming === null) return true;
    // One that failed covers nothing, whatever it wanted to.
    const isWhole = told === null || told.error === 0;
    const { absent, isFree } = this.incoming.before(isWhole ? request : { ...request, kind: 'read' });
    for (const block of absent) wants.add(block);
    return isFree;
  }

  /** What the request changes has gone out. */
  #isSaved({ request }: Entry, saves: Set<number>): boolean {
    if (this.outgoing === null || !isMutation(request)) return true;
    const { source, isFull } = this.outgoing;
    const { unread, isFree } = source.before(request);
    for (const block of unread) saves.add(block);
    return isFree && !isFull();
  }
}
