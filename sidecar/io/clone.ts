// SPDX-License-Identifier: Apache-2.0
/**
 * The machine's state on its way to a new backup: QEMU's own migration stream with the capability
 * `background-snapshot`, so that the guest goes on as the primary. The shim brings the guest to rest for the
 * moment of the clone point; the bytes go through both sidecars, inside the channel's TLS.
 *
 *   QEMU ──unix──▶ sidecar (primary) ══ clone connection ══▶ sidecar (backup) ──unix──▶ QEMU -incoming defer
 */
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectToMigration, MigrationListener, pumpClone, type MigrationSource } from './channel/clone.js';
import type { Qmp } from './qmp/client.js';

export class CloneError extends Error {
  readonly code = 'LOCKSTEP_CLONE';
}

/** Answers of `query-migrate` that are final. */
const FINAL_STATES = new Set(['completed', 'failed', 'cancelled']);
const POLL_MS = 20;
/** A migration that failed or was cancelled must have ended by then. */
export const GIVE_UP_MS_MAX = 5_000;
const RUNNING_AFTER_STREAM_MS_MAX = 3_000;
/** From `migrate` to QEMU's connection on the same host. */
const CONNECT_MS_MAX = 5_000;

interface MigrationInfo {
  readonly status?: string;
  readonly 'error-desc'?: string;
}

/**
 * Sends the running machine's state into `stream`, and ends it.
 * @param socketPath a unix socket made for QEMU to send to; gone afterwards.
 * @param onBytes is told how many bytes of the state have been sent so far.
 * @returns when QEMU says that all is sent. @throws CloneError, QmpError; the guest runs on either way.
 */
export async function sendClone(
  qmp: Qmp,
  stream: Duplex,
  socketPath: string,
  signal: AbortSignal,
  onBytes: (sent: number) => void,
): Promise<void> {
  try {
    const source = await startMigration(qmp, socketPath, signal);
    const pumped = source.pumpTo(stream, onBytes);
    try {
      await Promise.race([Promise.all([pumped, untilSent(qmp)]), aborted(signal)]);
    } catch (error) {
      source.abort();
      stream.destroy();
      await pumped.catch(() => undefined); // the first error counts
      throw error;
    }
  } catch (error) {
    stream.destroy();
    await giveUp(qmp);
    throw error;
  }
}

/** Resolves when QEMU has connected. */
async function startMigration(qmp: Qmp, socketPath: string, signal: AbortSignal): Promise<MigrationSource> {
  const listener = await MigrationListener.open(socketPath);
  try {
    signal.throwIfAborted();
    await qmp.execute('migrate-set-capabilities', {
      capabilities: [{ capability: 'background-snapshot', state: true }],
    });
    await qmp.execute('migrate', { uri: `unix:${socketPath}` });
    return await listener.accept(CONNECT_MS_MAX);
  } finally {
    await listener.close(); // one that connects later is turned away
  }
}

/**
 * Loads what comes out of `stream` into a QEMU that was started with `-incoming defer`. Takes as long as the stream gets
 * on: the sender gives up one that does not, and ends it.
 * @returns when the machine runs (replays). @throws CloneError when the stream breaks or QEMU refuses it.
 */
export async function receiveClone(
  qmp: Qmp,
  stream: Duplex,
  socketPath: string,
  signal: AbortSignal,
): Promise<void> {
  // QEMU would announce the guest's address by itself; a backup must be silent.
  await qmp.execute('migrate-set-parameters', { 'announce-rounds': 0 });
  const running = qmp.waitFor('RESUME', null);
  running.catch(() => undefined); // judged below, after the stream has had its say
  await qmp.execute('migrate-incoming', { uri: `unix:${socketPath}` });
  const target = await connectToMigration(socketPath);
  const broken = pumpClone(stream, target, signal).then(
    () => null,
    (error: unknown) => error as Error,
  );
  await Promise.race([running, brokenStream(broken, running)]);
}

/** Rejects when it is. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const told = (): void => {
      reject(new CloneError('given up'));
    };
    if (signal.aborted) told();
    else signal.addEventListener('abort', told, { once: true });
  });
}

/**
 * QEMU closes its socket as soon as it has read the last section, often before the stream's end has come by: a broken
 * pipe is a failure only when the machine does not run soon after.
 */
async function brokenStream(broken: Promise<Error | null>, running: Promise<unknown>): Promise<void> {
  const error = await broken;
  const late = sleep(RUNNING_AFTER_STREAM_MS_MAX).then(() => {
    throw (
      error ?? new CloneError('the whole state was sent, but the machine does not run: see the log of QEMU')
    );
  });
  await Promise.race([running, late]);
}

/** Polls: QEMU tells the end of a migration by event only when asked by a capability that excludes others. */
async function untilSent(qmp: Qmp): Promise<void> {
  for (;;) {
    const info = (await qmp.execute('query-migrate')) as MigrationInfo;
    if (info.status === 'completed') return;
    if (info.status !== undefined && FINAL_STATES.has(info.status)) {
      throw new CloneError(`QEMU's migration ${info.status}: ${info['error-desc'] ?? 'no reason given'}`);
    }
    await sleep(POLL_MS);
  }
}

/** After a failure: no migration may be under way when the next one is asked for. */
async function giveUp(qmp: Qmp): Promise<void> {
  const deadline = performance.now() + GIVE_UP_MS_MAX;
  for (;;) {
    const info = (await qmp.execute('query-migrate')) as MigrationInfo;
    if (info.status === undefined || info.status === 'none' || FINAL_STATES.has(info.status)) return;
    if (performance.now() > deadline)
      throw new CloneError('a failed migration does not end; restart this side');
    await qmp.execute('migrate_cancel');
    await sleep(POLL_MS);
  }
}
