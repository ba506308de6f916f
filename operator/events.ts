// SPDX-License-Identifier: Apache-2.0
/** What `kubectl describe` tells of a VM's past: one event for each change that matters, with the condition's own words. Pure. */
import { createHash } from 'node:crypto';
import type { FtvmStatus, StoredFtvm } from './api/ftvm.js';
import { FTVMS } from './api/resources.js';
import { apiVersionOf, type KubeObject } from './kit/object.js';
import { FIELD_MANAGER } from './names.js';
import { cutToBytes } from './said.js';

export interface Told {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly note: string;
  /** Which change this is: the same for all who see it, and another one for each change. */
  readonly change: string;
}

/** Longer notes are refused by the API (events.k8s.io/v1): fewer than 1024 bytes. */
const NOTE_BYTES_MAX = 1_000;

const conditionOf = (status: FtvmStatus, type: string) =>
  status.conditions?.find((condition) => condition.type === type);

/** The changes from one status to the next. */
export function changesOf(before: FtvmStatus, after: FtvmStatus): Told[] {
  const told: Told[] = [];
  if (after.primary !== undefined && after.primary.vmi !== before.primary?.vmi) {
    told.push({
      type: 'Normal',
      reason: before.primary === undefined ? 'Started' : 'WentLive',
      note: `${after.primary.vmi} runs the VM on ${after.primary.node ?? 'its node'}, epoch ${after.epoch ?? 0}`,
      change: after.primary.vmi,
    });
  }
  for (const type of ['Protected', 'Stalled']) {
    const now = conditionOf(after, type);
    const last = conditionOf(before, type);
    if (now === undefined || now.status === (last?.status ?? 'False')) continue;
    const isGood = (type === 'Protected') === (now.status === 'True');
    // `Stalled` that is over has nothing to say of itself.
    if (type === 'Stalled' && isGood) continue;
    // Whoever sees this change sees it from the same condition.
    const change = `${type} ${now.status} after ${last?.lastTransitionTime ?? 'the beginning'}`;
    told.push({ type: isGood ? 'Normal' : 'Warning', reason: now.reason, note: now.message, change });
  }
  const endedBefore = new Set(before.sides?.filter(({ ended }) => ended !== undefined).map(({ vmi }) => vmi));
  for (const { vmi, ended } of after.sides ?? []) {
    if (ended === undefined || endedBefore.has(vmi)) continue;
    const note = `${vmi} ended: ${ended.reason}, ${ended.message}`;
    told.push({ type: 'Warning', reason: 'SideEnded', note, change: vmi });
  }
  return told;
}

/**
 * Named by the change that it tells of, not by when or by whom: who tells it once more, after a crash or beside another,
 * finds it there.
 */
export function eventOf(ftvm: StoredFtvm, { type, reason, note, change }: Told, now: Date): KubeObject {
  const { name, namespace = 'default', uid } = ftvm.metadata;
  const at = now.toISOString().replace('Z', '000Z'); // MicroTime
  const digest = createHash('sha256').update(`${uid} ${reason} ${change}`).digest('hex').slice(0, 16);
  return {
    metadata: { name: `${name}.${digest}`, namespace },
    ...{
      eventTime: at,
      reportingController: FIELD_MANAGER,
      reportingInstance: FIELD_MANAGER,
      action: 'Reconcile',
      type,
      reason,
      note: cutToBytes(note, NOTE_BYTES_MAX),
      regarding: { apiVersion: apiVersionOf(FTVMS), kind: FTVMS.kind, name, namespace, uid },
    },
  };
}
