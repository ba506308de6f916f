// SPDX-License-Identifier: Apache-2.0
// One turn of a pair's life: protected → power cut of the primary's host → the backup goes live → protected again.
import { stat } from 'node:fs/promises';
import { z } from 'zod';
import type { Client } from '../../../cli/demo/client.js';
import { identify, waitGone, type ProcessId } from '../../../cli/local/processes.js';
import type { PairStatus } from '../../../cli/local/status.js';
import type { Side, TestPair } from './pair.js';
import { sharedSerial, SHARED_BYTES_MIN } from './serial.js';
import { until } from './wait.js';

const SERIAL_MS_MAX = 30_000;
const DEAD_MS_MAX = 5_000;
const REPLIES_MS_MAX = 30_000;
/** Replies that the client must have had from the new primary alone. */
const REPLIES_ALONE = 20;

export interface Cycle {
  readonly from: string;
  readonly to: string;
  /** Epoch in which the pair was protected again. */
  readonly epoch: number;
  /** Console bytes found equal. */
  readonly sharedBytes: number;
  /** Increments that the client had seen in the end. */
  readonly acknowledged: number;
  /** The longest that the client waited for a reply in this cycle, ms. */
  readonly worstWaitMs: number;
  /** From the power cut to the backup's answer that it is live, as seen by polling, ms. */
  readonly takeOverMs: number;
  /** From the order of a new backup to protection, ms. */
  readonly protectMs: number;
  /** What the new primary complained of while it got its backup: an attempt that failed, and why. */
  readonly troubles: readonly string[];
}

const saidSchema = z.object({
  journal: z.array(z.object({ at: z.string(), level: z.string(), reason: z.string(), message: z.string() })),
});

/** Warnings and errors of the primary's sidecar from `sinceMs` (wall clock) on. */
function troublesOf(status: PairStatus, sinceMs: number): string[] {
  const said = saidSchema.parse(status.hosts.find((host) => host.name === status.primary)?.sidecar);
  return said.journal
    .filter(({ at, level }) => level !== 'info' && Date.parse(at) >= sinceMs)
    .map(({ reason, message }) => `${reason}: ${message}`);
}

/** Waits until the backup's console has enough to compare. */
export async function consoleHasEnough(backup: Side): Promise<void> {
  await until('the backup writes to its console', SERIAL_MS_MAX, async () =>
    (await stat(backup.serialFile)).size >= SHARED_BYTES_MIN ? true : undefined,
  );
}

/** Names the processes of a side, to see later that these very ones are gone. */
export async function processesOfSide(side: Side): Promise<ProcessId[]> {
  const found = await Promise.all([side.sidecarPid, side.qemuPid].map(identify));
  return found.filter((id) => id !== undefined);
}

/** @throws Error naming the pid that still runs */
export async function requireGone(processes: readonly ProcessId[]): Promise<void> {
  for (const id of processes) {
    if (!(await waitGone(id, DEAD_MS_MAX))) throw new Error(`process ${id.pid} outlived its host`);
  }
}

/**
 * From protected to protected, by way of a power cut. The controller makes no new backup before the consoles have
 * been compared: the ring that tells what is shared must still have its beginning.
 * @throws Error when anything is not as it must be
 */
export async function failoverCycle(pair: TestPair, client: Client): Promise<Cycle> {
  const [primary, backup] = [await pair.primary(), await pair.backup()];
  await consoleHasEnough(backup);
  await pair.wantProtection(false);
  await client.window();
  const doomed = await processesOfSide(primary);
  const cutAt = performance.now();
  await pair.kill(primary.host);
  await pair.untilLive(backup);
  const takeOverMs = performance.now() - cutAt;
  await requireGone(doomed);
  const shared = sharedSerial(primary, backup);
  const waits = [(await replies(client, REPLIES_ALONE)).worstMs];
  const [orderedAt, orderedAtWall] = [performance.now(), Date.now()];
  const status = await pair.protect();
  const protectMs = performance.now() - orderedAt;
  const after = await replies(client, REPLIES_ALONE);
  return {
    from: primary.host.name,
    to: backup.host.name,
    epoch: status.epoch ?? 0,
    sharedBytes: shared.bytes,
    acknowledged: after.acknowledged,
    worstWaitMs: Math.max(...waits, after.worstMs),
    takeOverMs,
    protectMs,
    troubles: troublesOf(status, orderedAtWall),
  };
}

/** Waits until the client has had so many more replies. @throws when one was wrong, or its connection broke */
export async function replies(
  client: Client,
  count: number,
): Promise<{ acknowledged: number; worstMs: number }> {
  let seen = 0;
  let worstMs = 0;
  return until(`${count} replies`, REPLIES_MS_MAX, async () => {
    const window = await client.window();
    seen += window.replies;
    worstMs = Math.max(worstMs, window.worstMs);
    return seen >= count ? { acknowledged: window.acknowledged, worstMs } : undefined;
  });
}
