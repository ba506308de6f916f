// SPDX-License-Identifier: Apache-2.0
// The pair's lease store: a Redis of its own, in a network namespace of its own.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LEASE_DEFAULTS } from '../../sidecar/io/lease/redis.js';
import { DEFAULT_USER, LEASE_SERVER_SETTINGS, leaseUser } from '../../sidecar/io/lease/server.js';
import { LocalError } from './errors.js';
import { inNetns } from './network.js';
import type { PairLayout } from './layout.js';
import { identify, isAlive, runningFrom, startDetached, terminate, writePidFile } from './processes.js';

export const STORE_USER = 'lockstep';

/** For those who stand outside the pair's network. */
export const storeSocket = (pair: PairLayout): string => join(pair.store.dir, 'redis.sock');

const READY_MS_MAX = 10_000;
const POLL_MS = 20;
const GRACE_MS = 3000;

const configuration = (pair: PairLayout): string =>
  [
    `bind ${pair.store.ip} 127.0.0.1`,
    `port ${pair.store.port}`,
    `dir ${pair.store.dir}`,
    `unixsocket ${storeSocket(pair)}`,
    'unixsocketperm 600',
    // The default user may do nothing but ping, so it needs no password; protected mode would shut all others out.
    'protected-mode no',
    'daemonize no',
    ...LEASE_SERVER_SETTINGS,
    `aclfile ${join(pair.store.dir, 'users.acl')}`,
  ].join('\n') + '\n';

const users = (password: string): string =>
  [DEFAULT_USER, leaseUser(STORE_USER, `>${password}`, LEASE_DEFAULTS.keyPrefix)].join('\n') + '\n';

/** Writes the store's files. */
export async function prepareStore(pair: PairLayout, password: string): Promise<void> {
  await mkdir(pair.store.dir, { recursive: true });
  await writeFile(join(pair.store.dir, 'redis.conf'), configuration(pair));
  await writeFile(join(pair.store.dir, 'users.acl'), users(password), { mode: 0o600 });
}

/** Starts the store, with the data it has, and waits until it answers. */
export async function startStore(pair: PairLayout): Promise<void> {
  const log = join(pair.store.dir, 'redis.log');
  const command = ['redis-server', join(pair.store.dir, 'redis.conf')];
  const pid = startDetached(command, { netns: pair.store.netns }, log);
  const id = await identify(pid);
  const deadline = performance.now() + READY_MS_MAX;
  while (!(await answers(pair))) {
    if (id === undefined || !(await isAlive(id)) || performance.now() > deadline) {
      throw new LocalError('START_FAILED', "the lease store's Redis does not run", `Its log is ${log}.`);
    }
    await sleep(POLL_MS);
  }
  if (id !== undefined) await writePidFile(pair.store.pid, id);
}

export async function stopStore(pair: PairLayout): Promise<void> {
  const id = await runningFrom(pair.store.pid);
  if (id !== undefined) await terminate(id, GRACE_MS);
}

async function answers(pair: PairLayout): Promise<boolean> {
  try {
    const said = await inNetns(pair.store.netns, 'redis-cli', ['-p', String(pair.store.port), 'ping']);
    return said.trim() === 'PONG';
  } catch {
    return false; // not yet; the deadline is the caller's
  }
}
