// SPDX-License-Identifier: Apache-2.0
/** A backup asks its primary for the machine, while its own QEMU waits at the door. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CallError, type SidecarClient } from './client.js';
import type { Machine } from './machine.js';
import { Refusal } from './trouble.js';

export interface PatienceMs {
  /** The door waits 60 s for an answer. */
  readonly total: number;
  readonly pause: number;
}

const PATIENCE: PatienceMs = { total: 45_000, pause: 250 };

/** What may be otherwise a moment later: the primary comes up, or its network does. */
function mayPass(error: unknown): boolean {
  if (!(error instanceof CallError)) return false;
  if (error.code === 'REFUSED') return error.status === 409 || error.status === 429;
  return error.code === 'UNREACHABLE' || error.code === 'TIMEOUT';
}

/** @throws Refusal noPeer, with what the primary said last */
export async function machineOfPeer(
  client: Pick<SidecarClient, 'machine'>,
  signal: AbortSignal,
  { total, pause }: PatienceMs = PATIENCE,
): Promise<Machine> {
  const until = performance.now() + total;
  for (;;) {
    try {
      return await client.machine();
    } catch (error) {
      if (!mayPass(error) || signal.aborted || performance.now() + pause > until) throw noPeer(error);
    }
    await sleep(pause, undefined, { signal });
  }
}

function noPeer(error: unknown): Refusal {
  const why = error instanceof Error ? error.message : String(error);
  return new Refusal('noPeer', `no machine to follow: ${why}`, { cause: error });
}
