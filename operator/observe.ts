// SPDX-License-Identifier: Apache-2.0
/** What is true of each side of a VM, in one word each. Pure: gathering is world.ts's part. */
import type { LeaseRecord } from '../sidecar/protocol/lease/messages.js';
import { epitaphSchema, type Epitaph, type VmiStatus } from '../sidecar/observe/status-schema.js';
import type { Pod, Secret, Vmi } from './api/objects.js';
import type { Side, StoredFtvm } from './api/ftvm.js';
import type { Stored } from './kit/object.js';
import { isSuperseded, PHASE_KINDS, type Claimant, type SideKind } from './mind/sides.js';
import { SIDECAR_CONTAINER } from './names.js';
import { nonceSaid } from './said.js';

/**
 * `present`: with its record. `unknown`: it was not asked, or did not answer; that says nothing. `noStore`: there is no
 * Secret that says where the store is, so that nobody can ask; `key` is where a record would be.
 */
export type LeaseView =
  | { readonly kind: 'present'; readonly record: LeaseRecord }
  | { readonly kind: 'missing' }
  | { readonly kind: 'unknown'; readonly reason: string }
  | { readonly kind: 'noStore'; readonly reason: string; readonly key: string };

/** All that must be known was known without it. */
export const NOT_ASKED: LeaseView = { kind: 'unknown', reason: 'not asked' };

/** One side as the world shows it. */
export interface RawSide {
  readonly side: Side;
  readonly vmi: Stored<Vmi> | null;
  readonly pod: Stored<Pod> | null;
  /** Null without a pod on a node. False: its kubelet has not been heard, so that nothing the pod says is news. */
  readonly nodeReady: boolean | null;
  /** What its sidecar said a moment ago; null when it does not answer. */
  readonly status: VmiStatus | null;
  /** Since it said something last, or since it was first asked; 0 when there is nobody who could be asked yet. */
  readonly silentMs: number;
}

/**
 * A sidecar on a node that is heard gets so long to say something again before its silence counts: a loaded node, a
 * sidecar that comes up, and an operator that was just started, all look alike. On a node that is not heard nobody waits.
 */
export const SILENT_MS_MAX = 30_000;

/** It says nothing, and may yet. */
export const mayYetSpeak = ({ status, nodeReady, silentMs }: RawSide): boolean =>
  status === null && nodeReady !== false && silentMs < SILENT_MS_MAX;

export interface Observation {
  readonly ftvm: StoredFtvm;
  readonly sides: readonly RawSide[];
  /** Of sides: those that are there, and those that were. */
  readonly secrets: readonly Stored<Secret>[];
  readonly lease: LeaseView;
  /** Wall clock. */
  readonly now: Date;
}

/**
 * Beside the kinds that a side has anywhere: `planned`, decided and not there yet; `unschedulable`, there is no node for
 * it; `gone`, nothing of it is left.
 */
export type ClusterKind = SideKind | 'planned' | 'unschedulable' | 'gone';

/** Whether this side may still be, or become, the owner: by the lease alone. */
export type Loss = 'lost' | 'notLost';

export interface SideView extends RawSide {
  readonly kind: ClusterKind;
  readonly loss: Loss;
  readonly epitaph: Epitaph | null;
}

const FINAL = new Set(['Succeeded', 'Failed']);

/** The last word of its sidecar, from the container's termination message. */
export function epitaphOf(pod: Pod | null): Epitaph | null {
  const terminated = sidecarState(pod)?.terminated;
  if (terminated?.message === undefined) return null;
  try {
    const parsed = epitaphSchema.safeParse(JSON.parse(terminated.message));
    return parsed.success ? parsed.data : null;
  } catch {
    return null; // not from our hand: the node wrote why it ended the container
  }
}

const sidecarState = (pod: Pod | null) =>
  pod?.status?.containerStatuses?.find(({ name }) => name === SIDECAR_CONTAINER)?.state;

const hasEnded = ({ vmi, pod }: RawSide): boolean =>
  FINAL.has(vmi?.status?.phase ?? '') ||
  FINAL.has(pod?.status?.phase ?? '') ||
  sidecarState(pod)?.terminated !== undefined;

const isUnschedulable = (pod: Pod | null): boolean =>
  pod?.spec?.nodeName === undefined &&
  (pod?.status?.conditions ?? []).some(
    ({ type, status, reason }) => type === 'PodScheduled' && status === 'False' && reason === 'Unschedulable',
  );

function kindOf(raw: RawSide): ClusterKind {
  const { side, vmi, pod, status } = raw;
  if (vmi === null && pod === null) return side.uid === undefined ? 'planned' : 'gone';
  if (hasEnded(raw)) return 'ended';
  if (isUnschedulable(pod)) return 'unschedulable';
  if (status === null) return side.nonce === undefined && mayYetSpeak(raw) ? 'starting' : 'silent';
  if (status.stage === 'ended') return 'ended';
  return status.stage === 'running' ? PHASE_KINDS[status.phase] : 'starting';
}

/** Until the protocol runs, libvirt may start QEMU anew, and that one has another nonce: what is not said yet is no proof. */
const settledNonce = (status: VmiStatus | null): string | null =>
  status?.stage === 'running' || status?.stage === 'ended' ? status.nonce : null;

/** The engine of this side, if it was ever told, also by its last word. */
export const nonceOf = ({ side, status, pod }: RawSide): string | null =>
  nonceSaid(settledNonce(status)) ?? side.nonce ?? nonceSaid(epitaphOf(pod)?.nonce ?? null);

/** Who may be owner now or become it, by the record: its winner, or as long as there is none either of the pair. */
function candidatesOf({ winner, primary, backup }: LeaseRecord): readonly string[] {
  return winner === null ? [primary, backup] : [winner];
}

/**
 * `lost` only where the record proves it: this side's engine is not among those who may be owner. Where an engine's nonce
 * was never told, it is proven by all candidates being others' engines.
 */
function lossOf(raw: RawSide, all: readonly RawSide[], lease: LeaseView): Loss {
  if (lease.kind !== 'present') return 'notLost';
  const candidates = candidatesOf(lease.record).filter((nonce) => nonce !== '');
  if (candidates.length === 0) return 'notLost';
  const nonce = nonceOf(raw);
  if (nonce !== null) return candidates.includes(nonce) ? 'notLost' : 'lost';
  const others = new Set(all.filter((one) => one !== raw).map(nonceOf));
  return candidates.every((candidate) => others.has(candidate)) ? 'lost' : 'notLost';
}

const claimantOf = (view: Pick<SideView, 'kind' | 'status'>): Claimant => ({
  kind: view.kind,
  nonce: view.status?.nonce ?? null,
  peer: view.status?.peer ?? null,
});

/** All sides, each seen at its own moment, put into one picture. */
export function viewsOf({ sides, lease }: Pick<Observation, 'sides' | 'lease'>): SideView[] {
  const views = sides.map((raw): SideView => ({
    ...raw,
    kind: kindOf(raw),
    loss: lossOf(raw, sides, lease),
    epitaph: epitaphOf(raw.pod),
  }));
  const claimants = views.map(claimantOf);
  return views.map((view) =>
    isSuperseded(claimantOf(view), claimants) ? { ...view, kind: 'deciding' } : view,
  );
}
