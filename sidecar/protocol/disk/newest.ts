// SPDX-License-Identifier: Apache-2.0
/** Which of a disk's images is the disk. Pure. */
import type { Status } from '../status.js';

/**
 * `incomplete`: being copied, of no use alone. `copy`: whole, and never protected. `backup`: of the epoch's backup. `owner`:
 * of the epoch's owner, whose backup may take over in the same epoch. `alone`: of an owner after whom nobody can have the epoch.
 */
export const IMAGE_STATES = ['incomplete', 'copy', 'backup', 'owner', 'alone'] as const;

export interface ImageAge {
  readonly state: (typeof IMAGE_STATES)[number];
  /** Grows with each start of the VM from nothing; in one life, epochs grow. */
  readonly life: number;
  readonly epoch: number;
  /** Nonce of the side that wrote it. */
  readonly side: string;
  /** Of a backup: nonce of the primary that it was copied from. Null: none. */
  readonly of: string | null;
}

/** What a side's images are by its status; null: nothing new. */
export function imageState({ role, phase }: Status): 'alone' | 'owner' | 'backup' | null {
  if (role === 'backup') return phase === 'armed' ? 'backup' : null;
  if (role !== 'primary' || phase === 'founding' || phase === 'claiming') return null;
  return phase === 'protected' || phase === 'handingOver' ? 'owner' : 'alone';
}

export interface HostImage {
  readonly host: string;
  /** Null: it says nothing; brought along by a person, or never used. */
  readonly record: ImageAge | null;
}

interface KnownImage extends HostImage {
  readonly record: ImageAge;
}

/** Negative: `a` is older. */
const compare = (a: ImageAge, b: ImageAge): number =>
  a.life - b.life || a.epoch - b.epoch || IMAGE_STATES.indexOf(a.state) - IMAGE_STATES.indexOf(b.state);

/**
 * A backup's image is never newer than its own primary's, whatever epochs they say: the primary did all first, and may have
 * died before it had written down the epoch that its backup was told.
 */
const isBehind = ({ record }: KnownImage, all: readonly KnownImage[]): boolean =>
  all.some((other) => other.record.life === record.life && other.record.side === record.of);

/** The images that know something of themselves and are whole, newest first. */
export function byAge(images: readonly HostImage[]): KnownImage[] {
  const whole = images.flatMap(({ host, record }) =>
    record === null || record.state === 'incomplete' ? [] : [{ host, record }],
  );
  return whole.sort(
    (a, b) =>
      b.record.life - a.record.life ||
      Number(isBehind(a, whole)) - Number(isBehind(b, whole)) ||
      compare(b.record, a.record),
  );
}

/** Why `host` must not start from its image, or null. */
export function tooOld(images: readonly HostImage[], host: string): string | null {
  const own = images.find((image) => image.host === host)?.record ?? null;
  const [newest] = byAge(images);
  if (newest === undefined) return own === null ? null : 'it is not whole: its copy was cut off';
  if (newest.host === host) return null;
  const age = ({ life, epoch, state }: ImageAge): string =>
    `life ${String(life)}, epoch ${String(epoch)}, ${state}`;
  if (own === null) {
    return `it says nothing of itself, and host ${newest.host} had the VM (${age(newest.record)})`;
  }
  if (own.state === 'incomplete')
    return `it is not whole: its copy was cut off; host ${newest.host} has a whole one`;
  return `it is older (${age(own)}) than the one of host ${newest.host} (${age(newest.record)})`;
}

/** A start from nothing begins a life after all that are known. */
export const nextLife = (images: readonly HostImage[]): number =>
  1 + Math.max(0, ...images.map(({ record }) => record?.life ?? 0));
