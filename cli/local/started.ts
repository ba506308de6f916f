// SPDX-License-Identifier: Apache-2.0
// What has become of an incarnation that was just started.
import { sidecarStatusSchema } from '../../sidecar/observe/status-schema.js';
import { agentStatus, type AgentStatus, type IncarnationStatus } from './agent-api.js';
import { LocalError } from './errors.js';
import { readEvents } from './events.js';
import { lastWords } from './last-words.js';
import type { HostLayout, PairLayout } from './layout.js';

export interface Started {
  readonly layout: PairLayout;
  readonly host: HostLayout;
  readonly incarnation: IncarnationStatus;
}

/** What ended it: as its agent tells it, or as the timeline does when the agent has forgotten it already. */
async function endOf({ layout, host, incarnation }: Started, told: string | null): Promise<string> {
  if (told !== null) return told;
  const ends = (await readEvents(layout.events)).filter(
    ({ what, host: name, atMs }) =>
      what === 'IncarnationEnded' && name === host.name && atMs >= Date.parse(incarnation.startedAt),
  );
  return ends.at(-1)?.text ?? 'it runs no more';
}

/** QEMU's own words where there are any: when a sidecar ends, QEMU is killed without a word. */
async function failure(started: Started, told: string | null): Promise<LocalError> {
  const { dir } = started.incarnation;
  const said = (await lastWords(dir, 'qemu')) || (await lastWords(dir, 'sidecar'));
  const end = await endOf(started, told);
  return new LocalError('START_FAILED', `the VM does not run: ${end}${said === '' ? '' : `: ${said}`}`);
}

/** Null: the agent gives no answer in time, which a busy one may do. */
const viewOf = (host: HostLayout): Promise<AgentStatus | null> =>
  agentStatus(host).catch((error: unknown) => {
    if (error instanceof LocalError && error.code === 'NO_ANSWER') return null;
    throw error;
  });

/** Its agent's view of it; null: none just now. @throws LocalError START_FAILED in QEMU's words when it has ended */
export async function requireStarted(started: Started): Promise<AgentStatus | null> {
  const status = await viewOf(started.host);
  if (status === null) return null;
  const { incarnation } = status;
  if (incarnation?.nonce === started.incarnation.nonce && incarnation.phase === 'running') return status;
  const isSame = incarnation?.nonce === started.incarnation.nonce;
  throw await failure(started, isSame ? incarnation.reason : null);
}

/**
 * How many instructions the machine has executed; null when that can't be told yet.
 * @throws as requireStarted
 */
export async function instructionsOf(started: Started): Promise<bigint | null> {
  const view = await requireStarted(started);
  const status = sidecarStatusSchema.safeParse(view?.sidecar);
  return status.success && status.data.engine ? BigInt(status.data.engine.icount) : null;
}
