// SPDX-License-Identifier: Apache-2.0
/**
 * The machine's state on its way to a new backup: QEMU's own migration stream with the capability
 * `background-snapshot`, so that the guest goes on as the primary. The shim brings the guest to rest for the
 * moment of the clone point; the bytes go through both sidecars, inside the channel's TLS.
 *
 *   QEMU ──unix──▶ sidecar (primary) ══ clone connection ══▶ sidecar (backup) ──unix──▶ QEMU -incoming defer
 */
import { createServer, connect, type Server, type Socket } from 'node:net';
import { unlinkSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Duplex } from 'node:stream';
import type { Qmp } from './qmp/client.js';

export class CloneError extends Error {
  readonly code = 'LOCKSTEP_CLONE';
}

/** Answers of `query-migrate` that are final. */
const FINAL_STATES = new Set(['completed', 'failed', 'cancelled']);
const POLL_MS = 20;

interface MigrationInfo {
  readonly status?: string;
  readonly 'error-desc'?: string;
}

/**
 * Sends the running machine's state into `stream`, and ends it.
 * @param socketPath a unix socket made for QEMU to send to; gone afterwards.
 * @returns when QEMU says that all is sent. @throws CloneError, QmpError; the guest runs on either way.
 */
export async function sendClone(
  qmp: Qmp,
  stream: Duplex,
  socketPath: string,
  signal: AbortSignal,
): Promise<void> {
  const { server, connection } = await listenForOne(socketPath);
  const cancel = (): void => {
    stream.destroy();
    void qmp.execute('migrate_cancel').catch(() => undefined); // the migration's own end is awaited below
  };
  signal.addEventListener('abort', cancel, { once: true });
  try {
    signal.throwIfAborted();
    await qmp.execute('migrate-set-capabilities', {
      capabilities: [{ capability: 'background-snapshot', state: true }],
    });
    await qmp.execute('migrate', { uri: `unix:${socketPath}` });
    await Promise.all([connection.then((source) => pipeline(source, stream)), untilSent(qmp)]);
  } catch (error) {
    await giveUp(qmp);
    throw error;
  } finally {
    signal.removeEventListener('abort', cancel);
    server.close();
  }
}

/**
 * Loads what comes out of `stream` into a QEMU that was started with `-incoming defer`.
 * @returns when the machine runs (replays). @throws CloneError when the stream breaks or QEMU refuses it.
 */
export async function receiveClone(
  qmp: Qmp,
  stream: Duplex,
  socketPath: string,
  timeoutMs: number,
): Promise<void> {
  // QEMU would announce the guest's address by itself; a backup must be silent.
  await qmp.execute('migrate-set-parameters', { 'announce-rounds': 0 });
  const running = qmp.waitFor('RESUME', timeoutMs);
  running.catch(() => undefined); // judged below, after the stream has had its say
  await qmp.execute('migrate-incoming', { uri: `unix:${socketPath}` });
  const target = await connected(socketPath);
  await pipeline(stream, target);
  await running;
}

/** A server that takes one connection. */
async function listenForOne(path: string): Promise<{ server: Server; connection: Promise<Socket> }> {
  unlinkIfThere(path);
  const server = createServer();
  const connection = new Promise<Socket>((resolve, reject) => {
    server.once('connection', resolve).once('error', reject);
    server.once('close', () => {
      reject(new CloneError('QEMU did not connect to send its state'));
    });
  });
  connection.catch(() => undefined); // whoever awaits it gets it; nobody may be there after an early failure
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return { server, connection };
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Polls: QEMU tells the end of a migration by event only when asked by a capability that excludes others. */
async function untilSent(qmp: Qmp): Promise<void> {
  for (;;) {
    const info = (await qmp.execute('query-migrate')) as MigrationInfo;
    if (info.status === 'completed') return;
    if (info.status !== undefined && FINAL_STATES.has(info.status)) {
      throw new CloneError(`QEMU's migration ${info.status}: ${info['error-desc'] ?? 'no reason given'}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** After a failure: no migration may be under way when the next one is asked for. */
async function giveUp(qmp: Qmp): Promise<void> {
  const deadline = Date.now() + GIVE_UP_MS_MAX;
  for (;;) {
    const info = (await qmp.execute('query-migrate')) as MigrationInfo;
    if (info.status === undefined || info.status === 'none' || FINAL_STATES.has(info.status)) return;
    if (Date.now() > deadline) throw new CloneError('a failed migration does not end; restart this side');
    await qmp.execute('migrate_cancel');
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

const GIVE_UP_MS_MAX = 5_000;
