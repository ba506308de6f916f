// SPDX-License-Identifier: Apache-2.0
/** Which of a disk's images is the disk. Pure. */

export interface ImageAge {
  readonly state: 'incomplete' | 'copy' | 'backup' | 'owner';
  readonly life: number;
  readonly epoch: number;
}

const RANK = { incomplete: 0, copy: 1, backup: 2, owner: 3 } as const;

/** Negative: `a` is older. In one epoch the owner's is at least as new as its backup's. */
function compare(a: ImageAge, b: ImageAge): number {
  return a.life - b.life || a.epoch - b.epoch || RANK[a.state] - RANK[b.state];
}

export interface HostImage {
  readonly host: string;
  /** Null: it says nothing; brought along by a person, or never used. */
  readonly record: ImageAge | null;
}

/** The images that know something of themselves and are whole, newest first. */
export function byAge(images: readonly HostImage[]): { readonly host: string; readonly record: ImageAge }[] {
  return images
    .flatMap(({ host, record }) => (record === null ? [] : [{ host, record }]))
    .filter(({ record }) => record.state !== 'incomplete')
    .sort((a, b) => compare(b.record, a.record));
}

/** Why `host` must not start from its image, or null. */
export function tooOld(images: readonly HostImage[], host: string): string | null {
  const own = images.find((image) => image.host === host)?.record ?? null;
  const [newest] = byAge(images);
  if (newest === undefined) return own === null ? null : 'it is not whole: its copy was cut off';
  const age = ({ life, epoch, state }: ImageAge): string =>
    `life ${String(life)}, epoch ${String(epoch)}, ${state}`;
  if (own === null) {
    return `it says nothing of itself, and host ${newest.host} had the VM (${age(newest.record)})`;
  }
  if (own.state === 'incomplete')
    return `it is not whole: its copy was cut off; host ${newest.host} has a whole one`;
  if (compare(own, newest.record) >= 0) return null;
  return `it is older (${age(own)}) than the one of host ${newest.host} (${age(newest.record)})`;
}

/** A start from nothing begins a life after all that are known. */
export const nextLife = (images: readonly HostImage[]): number =>
  1 + Math.max(0, ...images.map(({ record }) => record?.life ?? 0));
