// SPDX-License-Identifier: Apache-2.0
/**
 * The port to the lease store: protocol/lease/messages.ts says what is asked and answered. Three rules carry the safety:
 *
 * - a record is made only by `found`, and by `reopen` (which names nobody); nothing else creates what is missing;
 * - within one epoch the winner is set once and never changes;
 * - `unknown` says nothing at all: neither that the request had an effect nor that it had none. It may still be
 *   carried out later. The protocol asks again (`reopen` under a new id; all others are idempotent).
 */
import type { LeaseAnswer, LeaseRequest } from '../../protocol/lease/messages.js';
import type { StoreId } from '../../protocol/types.js';

/** The lease of one VM. `redis.ts` is the real one; `contract.ts` is the table of what each must answer. */
export interface LeaseStore {
  /** Puts one request to the store, once. Never rejects: what is not certain is `unknown`. */
  ask(request: LeaseRequest): Promise<LeaseAnswer>;
}

/** What the tools do beside the protocol: `lockstep down`. */
export interface LeaseRemoval {
  /** Deletes the record of this store id (null: whatever is there). `ok` also when there is nothing. */
  remove(store: StoreId | null): Promise<'ok' | 'foreignStore' | 'unknown'>;
}
