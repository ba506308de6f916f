// SPDX-License-Identifier: Apache-2.0
/** How a VM goes that a person has deleted, and what must not hold it for ever. Pure. */
import type { Effect } from './effects.js';
import type { Told } from './events.js';
import type { LeaseView, Observation, SideView } from './observe.js';

/**
 * An owner that is told to stop ends within a second. One that does not is removed as it is, with its VMI: nobody wants
 * what it runs. Counted from the wish to delete, which outlives us.
 */
export const STOP_MS_MAX = 30_000;

/** The VM's owner had its time to stop. */
export const stopIsOver = ({ ftvm: { metadata }, now }: Pick<Observation, 'ftvm' | 'now'>): boolean =>
  metadata.deletionTimestamp !== undefined &&
  now.getTime() - Date.parse(metadata.deletionTimestamp) > STOP_MS_MAX;

/** Nothing is left but the resource itself. A lease that nobody can reach any more must not hold it. */
export const farewell = ({ kind }: LeaseView): readonly Effect[] => [
  ...(kind === 'noStore' ? [] : [{ type: 'removeLease' } as const]),
  { type: 'removeFinalizer' },
];

/** Of a VM that is deleted. */
export interface Leaving {
  readonly views: readonly SideView[];
  readonly forgotten: ReadonlySet<string>;
  /** Sides that may be live, on nodes that are not heard. */
  readonly leftAlone: ReadonlySet<string>;
  /** The owner, if it was told to stop and runs on. */
  readonly overdue: SideView | null;
}

/** What no later condition will tell. */
export function lastWords({ overdue, views, forgotten }: Leaving, lease: LeaseView): readonly Told[] {
  const told: Told[] = [];
  if (overdue !== null)
    told.push({
      type: 'Warning',
      reason: 'StopOverdue',
      note: overdueWords(overdue),
      change: overdue.side.vmi,
    });
  const isLast = views.every(({ side }) => forgotten.has(side.vmi));
  if (isLast && lease.kind === 'noStore')
    told.push({
      type: 'Warning',
      reason: 'LeaseLeftBehind',
      note: leftBehindWords(lease),
      change: lease.key,
    });
  return told;
}

/** What a deletion waits for, and what is done about it. */
export function removalWords({ views, forgotten, leftAlone, overdue }: Leaving, lease: LeaseView): string {
  const going = views.filter(({ side: { vmi } }) => !forgotten.has(vmi) && !leftAlone.has(vmi));
  const parts = [
    ...(leftAlone.size > 0 ? [awayWords(leftAlone)] : []),
    ...(overdue === null ? [] : [overdueWords(overdue)]),
    ...(going.length > 0 ? [`being removed: ${going.map(placeWords).join(', ')}`] : []),
    ...(lease.kind === 'noStore' ? [leftBehindWords(lease)] : []),
    ...(lease.kind === 'unknown' ? [storeAwayWords(lease.reason)] : []),
  ];
  return parts.length > 0 ? parts.join('; ') : 'nothing of it is left but its lease';
}

export const placeWords = ({ side, pod }: SideView): string =>
  `${side.vmi} on ${pod?.spec?.nodeName ?? side.node ?? 'no node yet'}`;

export const awayWords = (leftAlone: ReadonlySet<string>): string =>
  `${[...leftAlone].join(', ')} may run the VM on a node that does not answer: it is left alone until the node is ` +
  'back or its Node object is deleted';

const overdueWords = (owner: SideView): string =>
  `${placeWords(owner)} was told to stop and runs on after ${STOP_MS_MAX / 1_000} s: its VMI is deleted`;

const storeAwayWords = (reason: string): string =>
  `its lease must be removed last, and the lease store does not answer: ${reason}`;

const leftBehindWords = ({ key, reason }: Extract<LeaseView, { kind: 'noStore' }>): string =>
  `its lease, key ${key} (or with the prefix that the store's Secret gave), can't be removed and is left behind: ${reason}`;
