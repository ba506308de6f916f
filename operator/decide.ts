// SPDX-License-Identifier: Apache-2.0
/** From what is seen of a VM to what is done about it: two tables, and what their rows mean here. Pure. */
import type { FtvmStatus, Side } from './api/ftvm.js';
import type { Pod } from './api/objects.js';
import type { Effect, Role } from './effects.js';
import { newEnds, retryOf } from './ends.js';
import type { Told } from './events.js';
import { farewell, lastWords, stopIsOver, type Leaving } from './farewell.js';
import type { Stored } from './kit/object.js';
import { addressOf } from './logging-network.js';
import { pauseAfterMs } from './mind/backoff.js';
import { PROTECTION_TABLE, type ProtectionAction, type ProtectionInput } from './mind/protection.js';
import { leadOf } from './mind/sides.js';
import { decide, type Row } from './mind/table.js';
import { ANNOTATIONS, FINALIZER, LABELS, LIVE_GATE, secretNameOf } from './names.js';
import { mayYetSpeak, viewsOf, type LeaseView, type Observation, type SideView } from './observe.js';
import { wholeSaid } from './said.js';
import { SIDE_TABLE, sideInput, type SideAction } from './side-table.js';

export interface Decision extends Leaving {
  readonly effects: readonly Effect[];
  /** What the row about protection says; the status is made of it. */
  readonly row: Row<ProtectionInput, ProtectionAction>;
  readonly owner: SideView | null;
  /** A side that is decided from now on. */
  readonly planned: Side | null;
  readonly deleting: boolean;
  /** What no condition will tell: of a VM that goes. */
  readonly told: readonly Told[];
  /** Failures up to now, with those that this look sees for the first time. */
  readonly retry: FtvmStatus['retry'];
  /** Look again after so long even if nothing happens, ms; null: no need. */
  readonly againMs: number | null;
}

const OWNING = new Set(['alone', 'pairing', 'guarded']);
const PENDING = new Set(['planned', 'starting', 'deciding', 'backup']);

/** The owner's own. Without one the highest that was ever seen: a store may have lost its data, and begin again. */
export function epochOf(
  { ftvm, lease }: Pick<Observation, 'ftvm' | 'lease'>,
  views: readonly SideView[],
): number {
  const saidBy = ({ status }: SideView): number => wholeSaid(status?.epoch ?? 0) ?? 0;
  const owned = views.filter(({ kind }) => OWNING.has(kind)).map(saidBy);
  if (owned.length > 0) return Math.max(...owned);
  return Math.max(
    ftvm.status?.epoch ?? 0,
    lease.kind === 'present' ? lease.record.epoch : 0,
    ...views.map(saidBy),
  );
}

function protectionInput(
  observation: Observation,
  views: readonly SideView[],
  retry: FtvmStatus['retry'],
): ProtectionInput {
  const { ftvm, lease, now } = observation;
  const epoch = epochOf(observation, views);
  const kinds = views.map(({ kind }) => kind);
  const lead = leadOf(kinds);
  return {
    lead,
    wanted: !ftvm.spec.suspended,
    // A backup that is not heard just now may be on its way all the same. Who may be owner is another matter: `mute`.
    pending:
      kinds.some((kind) => PENDING.has(kind)) ||
      (lead !== 'none' && views.some((view) => view.kind === 'silent' && mayYetSpeak(view))),
    mute: kinds.includes('silent'),
    // The scheduler tells when there is no room, of the side that waits for it.
    spare: !kinds.includes('unschedulable'),
    backingOff: now.getTime() < retryAtMs(retry),
    unborn: epoch === 0,
    asked: epoch > 0 && ftvm.metadata.annotations?.[ANNOTATIONS.coldStart] === String(epoch),
    storeAway: lease.kind === 'unknown' || lease.kind === 'noStore',
  };
}

/** Times in a status are cut to whole seconds. */
const CUT_MS = 1_000;

const retryAtMs = (retry: FtvmStatus['retry']): number =>
  retry === undefined ? 0 : Date.parse(retry.since) + CUT_MS + pauseAfterMs(retry.failures);

/** RFC 3339 in whole seconds, as the API keeps it. */
export const seconds = (now: Date): string => now.toISOString().replace(/\.\d+Z$/, 'Z');

/** The side that a table's action asks for; null when it asks for none. */
function plan(
  action: ProtectionAction,
  { lease }: { readonly lease: LeaseView },
  { epoch, owner, vmi }: { readonly epoch: number; readonly owner: SideView | null; readonly vmi: string },
): Side | null {
  switch (action) {
    case 'none':
      return null;
    case 'found':
      return { vmi, role: 'primary', sinceEpoch: epoch };
    case 'refound':
      // A store that has lost its data knows no epoch: in it the VM begins again.
      return {
        vmi,
        role: 'primary',
        sinceEpoch: epoch,
        ...(lease.kind === 'present' ? { expectEpoch: lease.record.epoch } : {}),
      };
    case 'startBackup':
      return owner === null ? null : { vmi, role: 'backup', follows: owner.side.vmi, sinceEpoch: epoch };
  }
}

/** A backup whose primary does not run the VM and has ended: it waits for somebody who will not come. */
function isOrphan({ side }: SideView, views: readonly SideView[], owner: SideView | null): boolean {
  if (side.role !== 'backup' || side.follows === undefined) return false;
  if (owner !== null) return owner.side.vmi !== side.follows;
  return !views.some(
    ({ side: { vmi }, kind }) => vmi === side.follows && kind !== 'ended' && kind !== 'gone',
  );
}

/** It shall go, whatever it is: its VM is deleted, or nobody wants this backup any more. */
function isUnwanted(
  view: SideView,
  views: readonly SideView[],
  owner: SideView | null,
  { suspended, deleting, overdue }: Wishes,
): boolean {
  const idle = view.kind === 'planned' || view.kind === 'starting' || view.kind === 'unschedulable';
  // An owner is told to stop, and its backup ends with it.
  if (deleting) return owner === null || overdue || idle;
  if (view === owner) return false;
  if (view.side.role !== 'backup' || !idle) return false;
  return suspended || isOrphan(view, views, owner);
}

interface Wishes {
  readonly suspended: boolean;
  readonly deleting: boolean;
  /** The owner of a deleted VM had its time to stop. */
  readonly overdue: boolean;
}

function sideEffects(view: SideView, action: SideAction, owner: SideView | null): Effect[] {
  const { side, vmi, pod } = view;
  switch (action) {
    case 'create': {
      const followed = side.role === 'backup' ? (owner?.pod ?? null) : null;
      return [
        { type: 'makeSecret', side, peer: followed === null ? null : addressOf(followed) },
        { type: 'makeVmi', side },
      ];
    }
    case 'deleteVmi':
      return vmi === null ? [] : [{ type: 'deleteVmi', vmi: side.vmi, uid: vmi.metadata.uid }];
    case 'forcePod':
      return pod === null ? [] : [{ type: 'removePod', pod: pod.metadata.name, uid: pod.metadata.uid }];
    case 'forget':
      return [{ type: 'removeSecret', vmi: side.vmi }];
    case 'none':
      return [];
  }
}

const hasRole = (pod: Stored<Pod>, role: Role): boolean => pod.metadata.labels?.[LABELS.role] === role;
const isLive = (pod: Pod): boolean =>
  (pod.status?.conditions ?? []).some(({ type, status }) => type === LIVE_GATE && status === 'True');

/** Who serves is told to Services by label and readiness: the owner at once, all others that they do not. */
function roleEffects(views: readonly SideView[], owner: SideView | null): Effect[] {
  if (owner === null) return []; // one is about to be: until then nothing changes
  return views.flatMap((view): Effect[] => {
    const { pod } = view;
    if (pod === null || view.kind === 'ended') return [];
    const { name, uid } = pod.metadata;
    const [role, live]: [Role, boolean] = view === owner ? ['primary', true] : ['backup', false];
    return [
      ...(hasRole(pod, role) ? [] : [{ type: 'setRole', pod: name, uid, role } as const]),
      ...(isLive(pod) === live ? [] : [{ type: 'setLive', pod: name, uid, live } as const]),
    ];
  });
}

/** A consent counts once: where the store has lost its data, epochs come again. */
const takeConsent = ({ metadata }: Observation['ftvm'], owner: SideView | null): Effect[] =>
  owner === null || metadata.annotations?.[ANNOTATIONS.coldStart] === undefined
    ? []
    : [{ type: 'removeConsent' }];

/** What the owner is told, when it is not so yet. */
function orders(owner: SideView | null, { suspended, deleting }: Wishes): Effect[] {
  if (owner === null) return [];
  const vmi = owner.side.vmi;
  if (deleting) return [{ type: 'order', vmi, command: 'stop' }];
  const disabled = owner.status?.protection.state === 'Disabled';
  if (suspended && !disabled) return [{ type: 'order', vmi, command: 'unprotect' }];
  if (!suspended && disabled) return [{ type: 'order', vmi, command: 'protect' }];
  return [];
}

/** Secrets of sides that are no more: a process that ended between two steps, or an API that failed, has left them. */
function orphanedSecrets(secrets: Observation['secrets'], views: readonly SideView[]): Effect[] {
  const needed = new Set(views.map(({ side }) => side.vmi));
  return secrets.flatMap(({ metadata: { name, uid, labels } }): Effect[] => {
    const vmi = labels?.[LABELS.vmi];
    // A Secret of another name is another matter, whatever its labels say.
    if (vmi === undefined || secretNameOf(vmi) !== name || needed.has(vmi)) return [];
    return [{ type: 'sweepSecret', vmi, uid }];
  });
}

/** An order that was taken, or a node that is not heard, brings no event by itself. */
const LOOK_AGAIN_MS = 2_000;

/** @param newName of a VMI that was never there, for a side that may be decided */
export function decideVm(observation: Observation, newName: string): Decision {
  const { ftvm, now } = observation;
  const views = viewsOf(observation);
  const owners = views.filter(({ kind }) => OWNING.has(kind));
  const owner = owners.length === 1 ? (owners[0] ?? null) : null;
  const deleting = ftvm.metadata.deletionTimestamp !== undefined;
  const overdue = stopIsOver(observation);
  const wishes: Wishes = { suspended: ftvm.spec.suspended, deleting, overdue };
  const epoch = epochOf(observation, views);
  const retry = retryOf(ftvm.status ?? {}, epoch, newEnds(views), seconds(now));
  const input = protectionInput(observation, views, retry);
  const row = decide(PROTECTION_TABLE, input);

  const rows = views.map((view) => {
    const unwanted = (deleting || owners.length < 2) && isUnwanted(view, views, owner, wishes);
    return { view, row: decide(SIDE_TABLE, sideInput(view, unwanted)) };
  });
  const forgotten = new Set(
    rows.filter((one) => one.row.action === 'forget').map(({ view }) => view.side.vmi),
  );
  const leftAlone = new Set(
    rows.filter((one) => one.row.reason === 'MayBeLive').map(({ view }) => view.side.vmi),
  );
  const leaving: Leaving = { views, forgotten, leftAlone, overdue: overdue ? owner : null };
  const told = deleting ? lastWords(leaving, observation.lease) : [];
  const base = { ...leaving, row, owner, deleting, retry, told };

  if (!(ftvm.metadata.finalizers ?? []).includes(FINALIZER)) {
    return { ...base, effects: deleting ? [] : [{ type: 'addFinalizer' }], planned: null, againMs: null };
  }
  const ofSides = rows.flatMap((one) => sideEffects(one.view, one.row.action, owner));
  if (deleting) {
    const left = views.some(({ side }) => !forgotten.has(side.vmi));
    const effects = [...orders(owner, wishes), ...ofSides, ...(left ? [] : farewell(observation.lease))];
    return { ...base, effects, planned: null, againMs: left ? LOOK_AGAIN_MS : null };
  }
  return {
    ...base,
    effects: [
      { type: 'makeService' },
      ...takeConsent(ftvm, owner),
      ...roleEffects(views, owner),
      ...orders(owner, wishes),
      ...ofSides,
      ...orphanedSecrets(observation.secrets, views),
    ],
    planned: plan(row.action, observation, { epoch, owner, vmi: newName }),
    againMs: input.backingOff
      ? Math.max(1, retryAtMs(retry) - now.getTime())
      : row.reason === 'Protected'
        ? null
        : LOOK_AGAIN_MS,
  };
}
