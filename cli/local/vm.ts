// SPDX-License-Identifier: Apache-2.0
// Starting the VM: the deliberate act that no program takes by itself.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { RedisLease } from '../../sidecar/io/lease/redis.js';
import { agentStart, type AgentStatus, type StartRequest } from './agent-api.js';
import { lifeOf, makeImagesReady, refuseOldImages } from './disks.js';
import { ifMissing, LocalError } from './errors.js';
import type { HostLayout } from './layout.js';
import { observePair, type HostKind } from './observe.js';
import type { Pair } from './settings.js';
import { storeSocket, STORE_USER } from './store.js';

/** Written by the test guest when its Redis answers. */
const GUEST_READY = /^READY/m;
const LEASE_ANSWER_MS = 2000;

/** Its images are ready, and the newest. */
export const startFirst = (host: HostLayout, life = 1): Promise<AgentStatus> =>
  agentStart(host, { role: 'primary', lease: { kind: 'found' }, life });

/** True once the test guest's programs answer, by its console. */
export const guestReady = async (serialFile: string): Promise<boolean> =>
  GUEST_READY.test(await ifMissing(readFile(serialFile, 'utf8'), ''));

async function epochInStore({ layout, settings }: Pair): Promise<number | null> {
  const lease = new RedisLease({
    vm: layout.name,
    socketPath: storeSocket(layout),
    username: STORE_USER,
    password: settings.storePassword,
    callTimeoutMs: LEASE_ANSWER_MS,
  });
  try {
    if (!lease.isUp) await once(lease, 'up', { signal: AbortSignal.timeout(LEASE_ANSWER_MS) });
    const answer = await lease.ask({ op: 'peek' });
    if (answer.op === 'peek' && answer.result === 'missing') return null;
    if (answer.op === 'peek' && answer.result === 'present') return answer.record.epoch;
    const why = answer.result === 'unknown' ? answer.reason : answer.result;
    throw new LocalError('NO_ANSWER', `the lease store can't tell the epoch: ${why}`);
  } finally {
    lease.close();
  }
}

/** Only of these hosts it is known that nothing of the VM runs on them. */
const KNOWN_EMPTY: ReadonlySet<HostKind> = new Set(['dead', 'idle', 'ended']);

/**
 * Starts the VM from nothing, after both sides are known dead; what it had in memory is lost.
 * @param insists also from a disk's image that is not the newest
 * @throws LocalError STATE when a host may still run it, HOST_DOWN when `host` has no power.
 */
export async function coldStart(pair: Pair, host: HostLayout, insists = false): Promise<AgentStatus> {
  const views = await observePair(pair.layout.hosts);
  const doubtful = views.filter((view) => !KNOWN_EMPTY.has(view.kind));
  if (doubtful.length > 0) {
    const hosts = doubtful.map((view) => `${view.name} (${view.kind})`).join(', ');
    throw new LocalError(
      'STATE',
      `the VM may still run on: ${hosts}`,
      'Cut their power first: lockstep kill-host.',
    );
  }
  if (views.some(({ name, kind }) => name === host.name && kind === 'dead')) {
    const cure = `Switch it on: lockstep start-host ${host.name}.`;
    throw new LocalError('HOST_DOWN', `host ${host.name} has no power`, cure);
  }
  if (!insists) refuseOldImages(pair, host);
  makeImagesReady(pair, host);
  const epoch = await epochInStore(pair);
  const lease: Extract<StartRequest, { role: 'primary' }>['lease'] =
    epoch === null ? { kind: 'found' } : { kind: 'refound', expectEpoch: epoch };
  return agentStart(host, { role: 'primary', lease, life: lifeOf(pair) });
}
