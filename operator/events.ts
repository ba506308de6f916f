// SPDX-License-Identifier: Apache-2.0
/** What `kubectl describe` tells of a VM's past: one event for each change that matters, with the condition's own words. Pure. */
import { createHash } from 'node:crypto';
import type { FtvmStatus, StoredFtvm } from './api/ftvm.js';
import { FTVMS } from './api/resources.js';
import { apiVersionOf, type KubeObject } from './kit/object.js';
import { FIELD_MANAGER } from './names.js';

export interface Told {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly note: string;
}

/** Longer notes are refused by the API (events.k8s.io/v1). */
const NOTE_CHARACTERS_MAX = 1_000;

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
    });
  }
  for (const type of ['Protected', 'Stalled']) {
    const now = conditionOf(after, type);
    if (now === undefined || now.status === (conditionOf(before, type)?.status ?? 'False')) continue;
    const isGood = (type === 'Protected') === (now.status === 'True');
    // `Stalled` that is over has nothing to say of itself.
    if (type === 'Stalled' && isGood) continue;
    told.push({ type: isGood ? 'Normal' : 'Warning', reason: now.reason, note: now.message });
  }
  if (after.lastEnd !== undefined && after.lastEnd.time !== before.lastEnd?.time) {
    const { vmi, reason, message } = after.lastEnd;
    told.push({ type: 'Warning', reason: 'SideEnded', note: `${vmi} ended: ${reason}, ${message}` });
  }
  return told;
}

/** Named by what it says and when, so that telling it twice tells it once. */
export function eventOf(ftvm: StoredFtvm, { type, reason, note }: Told, now: Date): KubeObject {
  const { name, namespace = 'default', uid } = ftvm.metadata;
  const at = now.toISOString().replace('Z', '000Z'); // MicroTime
  const digest = createHash('sha256').update(`${at} ${uid} ${reason} ${note}`).digest('hex').slice(0, 16);
  return {
    metadata: { name: `${name}.${digest}`, namespace },
    ...{
      eventTime: at,
      reportingController: FIELD_MANAGER,
      reportingInstance: FIELD_MANAGER,
      action: 'Reconcile',
      type,
      reason,
      note: note.slice(0, NOTE_CHARACTERS_MAX),
      regarding: { apiVersion: apiVersionOf(FTVMS), kind: FTVMS.kind, name, namespace, uid },
    },
  };
}
