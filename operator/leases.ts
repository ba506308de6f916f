// SPDX-License-Identifier: Apache-2.0
/** The lease store as the operator uses it: it looks at records, and removes those of VMs that are no more. It never claims. */
import { once } from 'node:events';
import { RedisLease } from '../sidecar/io/lease/redis.js';
import { realTime, type Time } from './kit/time.js';
import type { LeaseView } from './observe.js';
import { leaseOptionsOf, type StoreAccess } from './store.js';

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

/** From a question to its answer, and from a first attempt to connect to the answer that nobody is there. */
const ANSWER_MS_MAX = 1_000;
/** A store that is away is sought so often, beside all that is asked. */
const RECONNECT_MS_MAX = 2_000;
/** A connection that nobody uses is given up: VMs that are protected ask nothing. */
export const IDLE_MS_MAX = 60_000;
/** Of each installation there is one; more are those that single VMs name, and those of before a change of password. */
export const STORES_MAX = 16;
/** What a connection asks about to see whether it stands; no VM's name is that long. */
const NO_VM = `operator-${'x'.repeat(64)}`;

/**
 * One connection to each store, kept while there are questions. Nobody waits for a store that is known to be away: the
 * connection is sought in the background, and until it is there each answer is `unknown`, at once.
 */
export class RedisLeases implements Leases {
  /** By all that one must know to reach it; the one that was used last comes last. */
  readonly #stores = new Map<string, Connection>();

  constructor(private readonly time: Time = realTime) {}

  async peek(vmId: string, store: StoreAccess): Promise<LeaseView> {
    const { lease } = await this.#connectionTo(store);
    const answer = await lease.of(vmId).ask({ op: 'peek' });
    if (answer.op !== 'peek' || answer.result === 'unknown') {
      const reason = 'reason' in answer ? answer.reason : 'storeError';
      return { kind: 'unknown', reason: `${reason} (${placeOf(store)})` };
    }
    return answer.result === 'missing' ? { kind: 'missing' } : { kind: 'present', record: answer.record };
  }

  async remove(vmId: string, store: StoreAccess): Promise<void> {
    const { lease } = await this.#connectionTo(store);
    // One that is known to be away is not waited for.
    if (lease.isUp && (await lease.of(vmId).remove(null)) === 'ok') return;
    throw new LeaseError(
      `the lease of ${vmId} can't be removed: the store at ${placeOf(store)} does not answer, or refuses it`,
    );
  }

  /** Ends all connections; the next question makes a new one. */
  close(): void {
    for (const key of this.#stores.keys()) this.#drop(key);
  }

  /** Tried at least once. */
  async #connectionTo(store: StoreAccess): Promise<Connection> {
    const key = JSON.stringify(Object.entries(store).sort());
    const connection = this.#stores.get(key) ?? new Connection(store);
    this.#stores.delete(key);
    this.#stores.set(key, connection);
    const [oldest] = this.#stores.keys();
    if (this.#stores.size > STORES_MAX && oldest !== undefined) this.#drop(oldest);
    connection.used(this.time, () => this.#drop(key));
    await connection.tried;
    return connection;
  }

  #drop(key: string): void {
    this.#stores.get(key)?.close();
    this.#stores.delete(key);
  }
}

const placeOf = ({ host, port }: StoreAccess): string => `${host}:${port}`;

class Connection {
  readonly lease: RedisLease;
  /** Resolves when it stands for the first time, or when that has taken too long. */
  readonly tried: Promise<void>;
  #cancelIdle: () => void = () => undefined;

  constructor(store: StoreAccess) {
    this.lease = new RedisLease({
      ...leaseOptionsOf(store),
      vm: NO_VM,
      callTimeoutMs: ANSWER_MS_MAX,
      connectTimeoutMs: ANSWER_MS_MAX,
      reconnectMaxMs: RECONNECT_MS_MAX,
    });
    this.tried = cameUp(this.lease);
  }

  used(time: Time, onIdle: () => void): void {
    this.#cancelIdle();
    this.#cancelIdle = time.after(IDLE_MS_MAX, onIdle);
  }

  close(): void {
    this.#cancelIdle();
    this.lease.close();
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
