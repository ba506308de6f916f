// SPDX-License-Identifier: Apache-2.0
import type { LeaseAnswer, LeaseRecord, LeaseRequest } from '../../sidecar/protocol/lease/messages.js';

interface Key {
  readonly store: string;
  readonly epoch: number;
  readonly primary: string;
  readonly backup: string;
  readonly winner: string | null;
  readonly run: number;
}

/** A win that the store has carried out, whether or not anybody was told. */
export type OnWin = (epoch: number, nonce: string) => void;

/** The lease store, as its scripts behave: one key, one step at a time. What it can lose depends on `durable`. */
export class Store {
  readonly durable: boolean;
  readonly #onWin: OnWin;
  #key: Key | null = null;
  #run = 1;
  up = true;
  /** False: its disk is full. It answers, and refuses a look as it refuses a claim. */
  takesWrites = true;
  /** Keys as they were, for a restart that goes back in time. */
  #past: (Key | null)[] = [];

  constructor(durable: boolean, onWin: OnWin) {
    this.durable = durable;
    this.#onWin = onWin;
  }

  /** Life of the process. A request made to another one never reaches this one. */
  get run(): number {
    return this.#run;
  }

  get epoch(): number | null {
    return this.#key?.epoch ?? null;
  }

  /** What a look at it would show; null: nothing. */
  get record(): LeaseRecord | null {
    const answer = this.#peek();
    return answer.op === 'peek' && answer.result === 'present' ? answer.record : null;
  }

  flush(): void {
    this.#set(null);
  }

  /** Comes back with what a store of its kind keeps: all of it, or a state of `back` writes ago. */
  restart(back: number): void {
    this.#run += 1;
    if (this.durable || back === 0) return;
    const at = this.#past.length - back;
    this.#key = at >= 0 ? (this.#past[at] ?? null) : null;
    this.#past = this.#past.slice(0, Math.max(0, at));
  }

  ask(request: LeaseRequest): LeaseAnswer {
    if (!this.takesWrites) return { op: request.op, result: 'unknown', reason: 'diskError' };
    switch (request.op) {
      case 'found':
        return this.#found(request.store, request.nonce);
      case 'refound':
        return this.#refound(request.expectEpoch, request.nonce);
      case 'reopen':
        return this.#reopen(request.newStore);
      case 'arm':
        return this.#arm(request);
      case 'claim':
        return this.#claim(request);
      case 'peek':
        return this.#peek();
    }
  }

  #set(key: Key | null): void {
    this.#past.push(this.#key);
    if (this.#past.length > 64) this.#past.shift();
    this.#key = key;
  }

  #own(store: string, epoch: number, nonce: string): void {
    this.#set({ store, epoch, primary: nonce, backup: '', winner: nonce, run: this.#run });
    this.#onWin(epoch, nonce);
  }

  #found(store: string, nonce: string): LeaseAnswer {
    const key = this.#key;
    if (key === null) this.#own(store, 1, nonce);
    else if (key.winner !== nonce || key.epoch !== 1)
      return { op: 'found', result: 'refused', detail: 'exists' };
    return { op: 'found', result: 'ok', store: this.#key?.store ?? store, epoch: 1 };
  }

  #refound(expectEpoch: number, nonce: string): LeaseAnswer {
    const key = this.#key;
    const epoch = expectEpoch + 1;
    if (key?.epoch === expectEpoch) this.#own(key.store, epoch, nonce);
    else if (key?.epoch !== epoch || key.winner !== nonce) {
      return { op: 'refound', result: 'refused', detail: 'other epoch' };
    }
    return { op: 'refound', result: 'ok', store: key.store, epoch };
  }

  #reopen(newStore: string): LeaseAnswer {
    if (this.#key !== null) return { op: 'reopen', result: 'refused' };
    this.#set({ store: newStore, epoch: 0, primary: '', backup: '', winner: null, run: this.#run });
    return { op: 'reopen', result: 'ok' };
  }

  #arm(request: Extract<LeaseRequest, { op: 'arm' }>): LeaseAnswer {
    const { store, epoch, primary, backup } = request;
    const key = this.#key;
    if (key === null) return { op: 'arm', result: 'refused', reason: 'missing' };
    if (key.store !== store) return { op: 'arm', result: 'refused', reason: 'foreignStore' };
    const same = key.epoch === epoch && key.primary === primary && key.backup === backup;
    if (same) return { op: 'arm', result: 'ok' };
    if (request.run !== String(this.#run) && !this.durable)
      return { op: 'arm', result: 'refused', reason: 'run' };
    if (key.epoch >= epoch) return { op: 'arm', result: 'refused', reason: 'epochHigher' };
    const owner = key.winner ?? (key.backup === primary ? primary : key.primary);
    if (key.epoch === epoch - 1 && key.epoch > 0 && owner !== primary) {
      return { op: 'arm', result: 'refused', reason: 'notOwner' };
    }
    this.#set({ store, epoch, primary, backup, winner: null, run: this.#run });
    return { op: 'arm', result: 'ok' };
  }

  #claim(request: Extract<LeaseRequest, { op: 'claim' }>): LeaseAnswer {
    const { store, epoch, nonce } = request;
    const key = this.#key;
    const unknown = (reason: Extract<LeaseAnswer, { result: 'unknown' }>['reason']): LeaseAnswer => ({
      op: 'claim',
      result: 'unknown',
      reason,
    });
    if (key === null) return unknown('missing');
    if (key.store !== store) return unknown('foreignStore');
    const named = key.primary === nonce || key.backup === nonce;
    if (key.epoch > epoch) return named ? unknown('epochHigher') : { op: 'claim', result: 'lost' };
    if (key.epoch < epoch) return unknown('epochLower');
    if (!named) return unknown('notNamed');
    if (key.run !== this.#run && !this.durable) return unknown('run');
    if (key.winner === null) {
      this.#set({ ...key, winner: nonce });
      this.#onWin(epoch, nonce);
    }
    return { op: 'claim', result: this.#key?.winner === nonce ? 'won' : 'lost' };
  }

  #peek(): LeaseAnswer {
    const key = this.#key;
    if (key === null) return { op: 'peek', result: 'missing' };
    const { store, epoch, primary, backup, winner, run } = key;
    const claimable = run === this.#run || this.durable;
    return {
      op: 'peek',
      result: 'present',
      record: { store, epoch, primary, backup, winner, run: String(this.#run), claimable },
    };
  }
}
