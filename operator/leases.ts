// SPDX-License-Identifier: Apache-2.0
/** The lease store as the operator uses it: it looks at records, and removes those of VMs that are no more. It never claims. */
import { once } from 'node:events';
import { RedisLease } from '../sidecar/io/lease/redis.js';
import type { LeaseView } from './observe.js';
import type { StoreAccess } from './store.js';

const ANSWER_MS_MAX = 2_000;

/** The port: so much is asked of a lease store. */
export interface Leases {
  /** Never rejects: what is not certain is `unknown`. */
  peek(vmId: string, store: StoreAccess): Promise<LeaseView>;
  /** @throws LeaseError when it is not certain that the record is gone */
  remove(vmId: string, store: StoreAccess): Promise<void>;
}

export class LeaseError extends Error {
  readonly code = 'LOCKSTEP_LEASE';
}

/** One connection for a question: questions are few, as only what is not known otherwise is asked. */
export class RedisLeases implements Leases {
  async peek(vmId: string, store: StoreAccess): Promise<LeaseView> {
    return this.#with(vmId, store, async (lease) => {
      const answer = await lease.ask({ op: 'peek' });
      if (answer.op !== 'peek' || answer.result === 'unknown') {
        return { kind: 'unknown', reason: 'reason' in answer ? answer.reason : 'storeError' };
      }
      return answer.result === 'missing' ? { kind: 'missing' } : { kind: 'present', record: answer.record };
    });
  }

  async remove(vmId: string, store: StoreAccess): Promise<void> {
    const result = await this.#with(vmId, store, (lease) => lease.remove(null));
    if (result !== 'ok') {
      throw new LeaseError(
        `the lease of ${vmId} can't be removed: the store at ${store.host}:${store.port} does not answer`,
      );
    }
  }

  async #with<T>(
    vmId: string,
    { tlsCa, ...access }: StoreAccess,
    use: (lease: RedisLease) => Promise<T>,
  ): Promise<T> {
    const tls = tlsCa === undefined ? {} : { tls: { ca: tlsCa } };
    const lease = new RedisLease({ vm: vmId, ...access, ...tls, callTimeoutMs: ANSWER_MS_MAX });
    try {
      if (!lease.isUp) await cameUp(lease);
      return await use(lease);
    } finally {
      lease.close();
    }
  }
}

/** Resolves when it answers, or when the time is over: then the question itself says that it does not. */
async function cameUp(lease: RedisLease): Promise<void> {
  try {
    await once(lease, 'up', { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  } catch (error) {
    if ((error as Error).name !== 'AbortError') throw error;
  }
}
