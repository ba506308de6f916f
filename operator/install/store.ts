// SPDX-License-Identifier: Apache-2.0
/** Can the lease store keep a lease? Tried with one of a VM that does not exist. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RedisLease, type LeaseOptions } from '../../sidecar/io/lease/redis.js';
import { leaseOptionsOf, parseStore, STORE_KEYS } from '../store.js';
import type { Question } from './wait.js';

const CONNECT_MS_MAX = 3_000;
/** A first write on a busy disk may take long; nobody waits for a failover here. */
const CALL_MS_MAX = 5_000;

/**
 * The store that a mounted Secret names.
 * @param dir where each key is a file
 * @throws StoreSecretError when a key is missing or makes no sense
 */
export async function readStoreSecret(dir: string): Promise<Omit<LeaseOptions, 'vm'>> {
  const files: Record<string, string> = {};
  for (const key of STORE_KEYS) {
    try {
      files[key] = await readFile(join(dir, key), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return leaseOptionsOf(parseStore('the Secret of the lease store', files));
}

export interface StoreTrial {
  readonly options: () => Promise<Omit<LeaseOptions, 'vm'>>;
  /** Name of a VM that there is not, a new one each time. */
  readonly vm: string;
  /** 128 bits, hex. */
  readonly nonce: string;
}

export function questionToStore(trial: StoreTrial): Question {
  return { about: 'the lease store', ask: () => whyNoLease(trial) };
}

async function whyNoLease(trial: StoreTrial): Promise<string | null> {
  let lease: RedisLease | null = null;
  try {
    lease = new RedisLease({ ...(await trial.options()), vm: trial.vm, callTimeoutMs: CALL_MS_MAX });
    return await tryLease(lease, trial);
  } catch (error) {
    return (error as Error).message;
  } finally {
    lease?.close();
  }
}

async function tryLease(lease: RedisLease, { nonce }: StoreTrial): Promise<string | null> {
  const troubles: string[] = [];
  lease.on('trouble', (_reason, detail) => troubles.push(detail));
  try {
    await once(lease, 'up', { signal: AbortSignal.timeout(CONNECT_MS_MAX) });
  } catch {
    return `does not answer: ${troubles.at(-1) ?? lease.lastError}`;
  }
  const founded = await lease.ask({ op: 'found', store: nonce, nonce });
  if (founded.result !== 'ok') return `a lease can't be written: ${troubles.at(-1) ?? founded.result}`;
  const removed = await lease.remove(nonce);
  return removed === 'ok' ? null : `a lease can't be removed: ${troubles.at(-1) ?? removed}`;
}
