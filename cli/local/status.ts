// SPDX-License-Identifier: Apache-2.0
// The pair's state as people and scripts see it.
import { leadOf } from '../../operator/mind/sides.js';
import { DEFAULT_LIMITS, type Limits } from '../../sidecar/protocol/limits.js';
import { controllerStatus, whyNoBackup } from './controller-api.js';
import type { CopyStatus } from '../../sidecar/runtime/disks/disks.js';
import { observePair, type HostKind, type HostView } from './observe.js';
import { runningFrom } from './processes.js';
import { loadDesired, type Pair } from './settings.js';

/** Not worth a note; worth one; so high that the guest is slowed down. */
export type LagLevel = 'low' | 'raised' | 'high';

export function lagLevel(lagMs: number, limits: Pick<Limits, 'lagNoteMs' | 'lagBoundMs'>): LagLevel {
  if (lagMs <= limits.lagNoteMs) return 'low';
  return lagMs <= limits.lagBoundMs ? 'raised' : 'high';
}

export interface HostStatus {
  readonly name: string;
  readonly ip: string;
  readonly kind: HostKind;
  readonly role: string | null;
  readonly phase: string | null;
  readonly epoch: number | null;
  readonly nonce: string | null;
  readonly sidecarPid: number | null;
  readonly qemuPid: number | null;
  readonly controlSocket: string | null;
  readonly serialFile: string | null;
  readonly ringFile: string | null;
  /** All that the sidecar says of itself. */
  readonly sidecar: unknown;
}

export interface PairStatus {
  readonly pair: string;
  /** vSphere FT's words: 'Protected', or 'Not Protected' with a state and a reason; 'Unknown' is ours. */
  readonly status: 'Protected' | 'Not Protected';
  readonly state: string | null;
  readonly reason: string | null;
  readonly protectionWanted: boolean;
  readonly controllerRuns: boolean;
  readonly epoch: number | null;
  readonly primary: string | null;
  readonly backup: string | null;
  /** How far the backup is behind; a level, as the number itself moves all the time. Null without a backup. */
  readonly lag: LagLevel | null;
  /** Not null: protection is wanted and not there; what the controller does about it, and how it failed last. */
  readonly whyNoBackup: string | null;
  /** Not null: the disks' images are being copied to a new backup. */
  readonly diskCopy: CopyStatus | null;
  /** Not null: why the lease store can't be relied on just now. An owner runs on; without one, nobody goes live. */
  readonly leaseTrouble: string | null;
  readonly lastFailover: { readonly at: string; readonly goLiveMs: number } | null;
  readonly guest: { readonly ip: string; readonly redisPort: number };
  readonly clientNetns: string;
  readonly hosts: readonly HostStatus[];
}

function hostStatus(view: HostView, ip: string): HostStatus {
  const incarnation = view.agent?.incarnation ?? null;
  return {
    name: view.name,
    ip,
    kind: view.kind,
    role: view.sidecar?.role ?? incarnation?.role ?? null,
    phase: view.sidecar?.phase ?? null,
    epoch: view.sidecar?.epoch ?? null,
    nonce: incarnation?.nonce ?? null,
    sidecarPid: incarnation?.sidecarPid ?? null,
    qemuPid: incarnation?.qemuPid ?? null,
    controlSocket: incarnation?.controlSocket ?? null,
    serialFile: incarnation?.serialFile ?? null,
    ringFile: incarnation?.ringFile ?? null,
    sidecar: view.sidecar,
  };
}

const isOwner = (view: HostView): boolean => leadOf([view.kind]) !== 'none';

export type Words = Pick<PairStatus, 'status' | 'state' | 'reason'>;

/** What is wrong with the lease store: by the owner, or without one by a side that must ask it who shall go on. */
function leaseTroubleOf(views: readonly HostView[], owner: HostView | undefined): string | null {
  const asking =
    owner ?? views.find(({ kind, sidecar }) => kind === 'deciding' && (sidecar?.lease ?? null) !== null);
  return asking?.sidecar?.lease ?? null;
}

const MUTE: ReadonlySet<HostKind> = new Set(['deaf', 'silent']);

/** Without an owner nothing is protected. A host that does not answer, being busy, may well run the VM. */
function ownerless(views: readonly HostView[], leaseTrouble: string | null): Words {
  const status = 'Not Protected';
  if (views.some(({ kind }) => MUTE.has(kind))) return { status, state: 'Unknown', reason: 'noAnswer' };
  if (views.some(({ kind }) => kind === 'starting'))
    return { status, state: 'Starting', reason: 'initializing' };
  return { status, state: 'VM not Running', reason: leaseTrouble === null ? null : 'leaseUnusable' };
}

/** The owner's own word counts. */
export function wordsOf(views: readonly HostView[], leaseTrouble: string | null): Words {
  const [owner, second] = views.filter(isOwner);
  if (second !== undefined) return { status: 'Not Protected', state: 'Disabled', reason: 'twoOwners' };
  const protection = owner?.sidecar?.protection;
  if (protection === undefined) return ownerless(views, leaseTrouble);
  if (protection.word === 'Protected') return { status: 'Protected', state: null, reason: null };
  return { status: 'Not Protected', state: protection.state ?? null, reason: protection.reason ?? null };
}

export async function pairStatus(pair: Pair): Promise<PairStatus> {
  const { layout } = pair;
  const [views, desired, controller, mind] = await Promise.all([
    observePair(layout.hosts),
    loadDesired(layout),
    runningFrom(layout.controllerPid),
    controllerStatus(layout),
  ]);
  const owners = views.filter(isOwner);
  const backup = views.find((view) => view.kind === 'backup');
  const numbers = owners[0]?.sidecar?.numbers;
  const leaseTrouble = leaseTroubleOf(views, owners[0]);
  const words = wordsOf(views, leaseTrouble);
  const isMissed = desired.protected && words.status !== 'Protected' && mind !== null;
  return {
    pair: layout.name,
    ...words,
    whyNoBackup: isMissed ? whyNoBackup(mind) : null,
    protectionWanted: desired.protected,
    controllerRuns: controller !== undefined,
    epoch: owners[0]?.sidecar?.epoch ?? null,
    primary: owners[0]?.name ?? null,
    backup: backup?.name ?? null,
    lag: backup === undefined || !numbers ? null : lagLevel(numbers.lagMs, DEFAULT_LIMITS),
    diskCopy: owners[0]?.sidecar?.disks?.copy ?? null,
    leaseTrouble,
    lastFailover: owners[0]?.sidecar?.lastFailover ?? null,
    guest: { ip: layout.guest.ip, redisPort: layout.guest.redisPort },
    clientNetns: layout.client.netns,
    hosts: views.map((view, index) => hostStatus(view, layout.hosts[index]?.ip ?? '')),
  };
}
