// SPDX-License-Identifier: Apache-2.0
// The disks of a local pair: what a person asks for, and the images on the hosts. Each host has an image of its own for
// each disk: PATH.a, PATH.b, ...
import { closeSync, constants, existsSync, ftruncateSync, openSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DISKS_MAX } from '../../sidecar/io/disk/copy-wire.js';
import { Image } from '../../sidecar/io/disk/image.js';
import { readRecord, recordPath, type ImageRecord } from '../../sidecar/io/disk/record.js';
import { byAge, nextLife, tooOld, type HostImage } from '../../sidecar/protocol/disk/newest.js';
import { LocalError, messageOf } from './errors.js';
import type { HostLayout, PairLayout } from './layout.js';
import type { DiskBus } from './qemu.js';
import type { Pair, Settings } from './settings.js';

export { DISKS_MAX };
export type DiskSettings = Settings['machine']['disks'][number];

/** As it was asked for. */
export interface DiskWish {
  readonly path: string;
  /** Null: that of the image that is there. */
  readonly bytes: number | null;
  readonly bus: DiskBus;
  readonly sectorBytes: number;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
const BUSES: readonly DiskBus[] = ['virtio-blk', 'virtio-scsi'];
const SECTORS: readonly number[] = [512, 4096];
export const DISK_BYTES_MIN = 1024 * 1024;
/** Blocks of a copy are numbered by 32 bits; with 64 KiB each that is far above this, which keeps maps small. */
export const DISK_BYTES_MAX = 16 * 2 ** 40;

const usage = (text: string, why: string): LocalError =>
  new LocalError(
    'USAGE',
    `--disk ${text}: ${why}`,
    'It looks like PATH,size=4G,bus=virtio-blk,sector=512; all but the path may be left out when the image is there.',
  );

/** `4G` in bytes; null: no size. */
export function parseSize(text: string): number | null {
  const [, digits, unit] = /^(\d{1,15})([KMGT]?)(?:i?B)?$/.exec(text) ?? [];
  const bytes = Number(digits) * (UNITS[unit ?? ''] ?? NaN);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

interface Draft {
  bytes: number | null;
  bus: DiskBus;
  sectorBytes: number;
}

const FIELDS: Readonly<Record<string, (draft: Draft, value: string) => string | null>> = {
  size: (draft, value) => {
    draft.bytes = parseSize(value);
    return draft.bytes === null ? `"${value}" is no size: say 512M or 4G` : null;
  },
  bus: (draft, value) => {
    const bus = BUSES.find((known) => known === value);
    if (bus === undefined) return `there is no bus "${value}": say ${BUSES.join(' or ')}`;
    draft.bus = bus;
    return null;
  },
  sector: (draft, value) => {
    draft.sectorBytes = Number(value);
    return SECTORS.includes(draft.sectorBytes) ? null : `a sector has 512 or 4096 bytes, not ${value}`;
  },
};

function sizeFault({ bytes, sectorBytes }: Pick<Draft, 'bytes' | 'sectorBytes'>): string | null {
  if (bytes === null) return null;
  if (bytes < DISK_BYTES_MIN || bytes > DISK_BYTES_MAX)
    return `a disk has 1 MiB to 16 TiB, not ${bytes} bytes`;
  return bytes % sectorBytes === 0 ? null : `${bytes} bytes are no whole number of sectors of ${sectorBytes}`;
}

/** @throws LocalError USAGE */
export function parseDisk(text: string): DiskWish {
  const [path = '', ...fields] = text.split(',');
  if (path === '') throw usage(text, 'the path of the image is missing');
  const draft: Draft = { bytes: null, bus: 'virtio-blk', sectorBytes: 512 };
  for (const field of fields) {
    const [name = '', value = ''] = field.split('=', 2);
    const set = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
    const fault = set === undefined ? `"${field}" is not known` : set(draft, value);
    if (fault !== null) throw usage(text, fault);
  }
  const fault = sizeFault(draft);
  if (fault !== null) throw usage(text, fault);
  return { path: resolve(path), ...draft };
}

export const hostImage = ({ image }: Pick<DiskSettings, 'image'>, host: Pick<HostLayout, 'name'>): string =>
  `${image}.${host.name}`;

/** Its size, when it is there. @throws LocalError with what is wrong with it */
function sizeOf(image: string): number | null {
  const found = statSync(image, { throwIfNoEntry: false });
  if (found === undefined) return null;
  if (found.isFile()) return found.size;
  throw new LocalError(
    'USAGE',
    `${image} is ${found.isDirectory() ? 'a folder' : 'not a file'}`,
    'Name a raw image.',
  );
}

/** Where the folder really is: two names of one image must be found equal. */
function realPath(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw new LocalError(
      'USAGE',
      `${path} is a folder`,
      'Name the image in it: each host adds its own letter.',
    );
  }
  const folder = dirname(path);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new LocalError(
      'USAGE',
      `there is no folder ${folder}`,
      'Make it: the images of the hosts are kept in it.',
    );
  }
  return join(realpathSync(folder), basename(path));
}

/**
 * What the VM gets: paths made whole, sizes known.
 * @throws LocalError USAGE when it cannot be
 */
export function settleDisks(
  wishes: readonly DiskWish[],
  { hosts }: Pick<PairLayout, 'hosts'>,
): DiskSettings[] {
  if (wishes.length > DISKS_MAX) throw new LocalError('USAGE', `a VM has ${DISKS_MAX} disks at most`);
  const disks = wishes.map((wish) => settle(wish, hosts));
  const twice = disks.find(({ image }, index) => disks.findIndex((other) => other.image === image) < index);
  if (twice !== undefined) throw new LocalError('USAGE', `${twice.image} is named for two disks`);
  return disks;
}

function settle({ path, bytes, bus, sectorBytes }: DiskWish, hosts: readonly HostLayout[]): DiskSettings {
  const image = realPath(path);
  const found = hosts.flatMap((host) => sizeOf(hostImage({ image }, host)) ?? []);
  const size = bytes ?? found[0] ?? null;
  const names = hosts.map((host) => hostImage({ image }, host)).join(', ');
  if (size === null) {
    const brought = existsSync(image)
      ? `Give host ${hosts[0]?.name ?? 'a'} yours: mv ${image} ${image}.${hosts[0]?.name ?? 'a'}. Or say`
      : 'Say';
    throw new LocalError(
      'USAGE',
      `there is no image yet (${names})`,
      `${brought} how large it is to be made: ${path},size=4G.`,
    );
  }
  const other = found.find((one) => one !== size);
  if (other !== undefined) {
    throw new LocalError(
      'USAGE',
      `an image of ${image} has ${other} bytes, not ${size}`,
      'Leave the size out, or remove images that are not wanted any more.',
    );
  }
  const fault = sizeFault({ bytes: size, sectorBytes });
  if (fault !== null) throw new LocalError('USAGE', `${image}: ${fault}`);
  return { image, bytes: size, bus, sectorBytes };
}

/** Makes the image of a host that is missing, empty, and sees to it that nobody else has one that is there. */
function makeReady(disk: DiskSettings, host: HostLayout): void {
  const image = hostImage(disk, host);
  if (sizeOf(image) === null) {
    const fd = openSync(image, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    ftruncateSync(fd, disk.bytes);
    closeSync(fd);
  }
  Image.open({ path: image, bytes: disk.bytes, isFilled: false }).close();
}

/** @throws LocalError with the image's own words */
export function makeImagesReady({ settings }: Pair, host: HostLayout): void {
  for (const disk of settings.machine.disks) {
    try {
      makeReady(disk, host);
    } catch (error) {
      if (error instanceof LocalError) throw error;
      throw new LocalError('STATE', messageOf(error), undefined, { cause: error });
    }
  }
}

/** Null: it says nothing. @throws LocalError STATE when it is another VM's; ImageError */
function recordOf(image: string, vm: string): ImageRecord | null {
  const record = existsSync(image) ? readRecord(image) : null;
  if (record === null || record.vm === vm) return record;
  throw new LocalError(
    'STATE',
    `${image} is a disk of VM '${record.vm}', not of '${vm}'`,
    `Name another path. If that VM shall never have it again, remove ${recordPath(image)}.`,
  );
}

/** What the hosts' images of a disk know of themselves. */
function imagesOf({ layout }: Pair, disk: DiskSettings): HostImage[] {
  return layout.hosts.map((host) => ({
    host: host.name,
    record: recordOf(hostImage(disk, host), layout.name),
  }));
}

/** The host whose images are the disks; null: they do not say. @throws ImageError for a damaged record */
export function hostOfDisks(pair: Pair): HostLayout | null {
  for (const disk of pair.settings.machine.disks) {
    const newest = byAge(imagesOf(pair, disk))[0];
    const host = pair.layout.hosts.find(({ name }) => name === newest?.host);
    if (host !== undefined) return host;
  }
  return null;
}

/** @throws LocalError STATE when another host's image of a disk is newer */
export function refuseOldImages(pair: Pair, host: HostLayout): void {
  for (const disk of pair.settings.machine.disks) {
    const images = imagesOf(pair, disk);
    const why = tooOld(images, host.name);
    if (why === null) continue;
    const newest = byAge(images)[0]?.host;
    const there =
      newest === undefined ? '' : `Start the VM on host ${newest}, which has the disk as it was last. `;
    throw new LocalError(
      'STATE',
      `${hostImage(disk, host)} is not the disk: ${why}`,
      `${there}If you are sure, say --insist: what is only in the other image is lost.`,
    );
  }
}

/** Number of the VM's next life: above all that its images know of. */
export const lifeOf = (pair: Pair): number =>
  Math.max(1, ...pair.settings.machine.disks.map((disk) => nextLife(imagesOf(pair, disk))));
