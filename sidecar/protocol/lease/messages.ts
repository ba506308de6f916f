// SPDX-License-Identifier: Apache-2.0
/**
 * Questions to the lease store and its answers. Each operation is one atomic, idempotent step on one key.
 * A request is put to the store at most once (a client that resends by itself breaks the proof), and an
 * answer that is not certain is `unknown`: it never means live.
 *
 * | op      | succeeds when                                                        | then the key holds                    |
 * |---------|----------------------------------------------------------------------|---------------------------------------|
 * | found   | there is no key, or it is this same answer again                     | epoch 1, primary = winner = nonce     |
 * | refound | epoch is `expectEpoch`, or it is this same answer again              | epoch + 1, primary = winner = nonce   |
 * | reopen  | there is no key                                                      | newStore, epoch 0, nobody named       |
 * | arm     | store matches, and the same three are there already (then nothing is | epoch, both nonces, no winner, run =  |
 * |         | changed), or epoch is lower and `run` is this life of Redis or store | this life of Redis                    |
 * |         | is durable                                                           |                                       |
 * | claim   | store and epoch match, nonce is named, run matches or store durable, | winner = nonce                        |
 * |         | and there is no winner or it is this nonce                           |                                       |
 *
 * reopen is how an owner makes a store usable again that lost its keys. It names nobody, so that a copy of it
 * that is carried out late, after yet another loss, gives nobody anything to claim. `newStore` is fresh each time.
 * A request must not outlive its connection, nor a connection the life of the store that it was made to.
 *
 * arm names the life of Redis that its sender has seen: asked again after a restart that lost an epoch which was armed
 * and won, it would put that epoch up to be won once more.
 *
 * claim `lost`: the key's store matches, and another has won this epoch, or its epoch is higher and does not
 * name this nonce. All else that is not `won` is `unknown`.
 */
import type { Epoch, Nonce, StoreId } from '../types.js';
import type { LeaseTrouble } from '../reasons.js';

export type LeaseRequest =
  | { readonly op: 'found'; readonly store: StoreId; readonly nonce: Nonce }
  | { readonly op: 'refound'; readonly expectEpoch: Epoch; readonly nonce: Nonce }
  | { readonly op: 'reopen'; readonly newStore: StoreId }
  | {
      readonly op: 'arm';
      readonly store: StoreId;
      /** Life of Redis, as `peek` has told. */
      readonly run: string;
      readonly epoch: Epoch;
      readonly primary: Nonce;
      readonly backup: Nonce;
    }
  | { readonly op: 'claim'; readonly store: StoreId; readonly epoch: Epoch; readonly nonce: Nonce }
  | { readonly op: 'peek' };

/** The key as it is. */
export interface LeaseRecord {
  readonly store: StoreId;
  /** 0: reopened, and nothing armed since. */
  readonly epoch: Epoch;
  /** Empty: none. */
  readonly primary: Nonce;
  /** Empty: none. */
  readonly backup: Nonce;
  readonly winner: Nonce | null;
  /** The present life of Redis (not the one at arm). */
  readonly run: string;
  /** A claim would be answered: armed in this life of the store, or the store is durable. */
  readonly claimable: boolean;
}

/** What the store has done or holds. */
export type CertainAnswer =
  | {
      readonly op: 'found' | 'refound';
      readonly result: 'ok';
      readonly store: StoreId;
      readonly epoch: Epoch;
    }
  | { readonly op: 'found' | 'refound'; readonly result: 'refused'; readonly detail: string }
  /** Refused: there is a key. */
  | { readonly op: 'reopen'; readonly result: 'ok' | 'refused' }
  | { readonly op: 'arm'; readonly result: 'ok' }
  /** epochHigher: the store matches, and its epoch is not lower, nor is it this same answer again. */
  | {
      readonly op: 'arm';
      readonly result: 'refused';
      /**
       * Why this request changed nothing. It proves that the epoch was never armed only when no earlier request
       * to arm it was answered `unknown`: that one may have been carried out, and the backup may have won since.
       * `run`: Redis began another life since the request was made, and is not durable.
       * `notOwner`: the epoch just before was won by another, or does not name this primary.
       */
      readonly reason: 'missing' | 'foreignStore' | 'epochHigher' | 'notOwner' | 'run';
    }
  | { readonly op: 'claim'; readonly result: 'won' | 'lost' }
  | { readonly op: 'peek'; readonly result: 'present'; readonly record: LeaseRecord }
  | { readonly op: 'peek'; readonly result: 'missing' };

/** `unknown`: the request may have been carried out, or may still be. */
export type LeaseAnswer =
  | CertainAnswer
  | { readonly op: LeaseRequest['op']; readonly result: 'unknown'; readonly reason: LeaseTrouble };
