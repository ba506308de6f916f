// SPDX-License-Identifier: Apache-2.0
/**
 * All disks of one side: what the protocol's effects mean for them, the copy to a new backup or from the primary, and
 * what the images are to know of their owner.
 */
import type { Duplex } from 'node:stream';
import type { Logger } from 'winston';
import type { Image } from '../../io/disk/image.js';
import type { ImageRecord, RecordFile } from '../../io/disk/record.js';
import type { SidecarStatus } from '../../observe/status-schema.js';
import { imageState } from '../../protocol/disk/newest.js';
import type { NumberedOutcome } from '../../protocol/disk/outcomes.js';
import type { ProtocolEvent } from '../../protocol/events.js';
import type { Status } from '../../protocol/status.js';
import type { LinkId, Lsn, Nonce } from '../../protocol/types.js';
import type { CopyProgress } from './copy-end.js';
import { CopyReceiver } from './copy-receiver.js';
import { CopySender } from './copy-sender.js';
import { Disk, type DiskSite } from './disk.js';

/** One disk as the place hands it in: open, and locked. */
export interface SiteDisk extends DiskSite {
  readonly image: Image;
  readonly record: RecordFile;
}

export interface SiteDisks {
  readonly list: readonly SiteDisk[];
  /** Of the VM, of a side that starts it; a backup learns it from its primary. */
  readonly life: number;
  /** Of a copy to a new backup. */
  readonly bytesPerSecondMax: number;
}

export const NO_DISKS: SiteDisks = { list: [], life: 1, bytesPerSecondMax: Infinity };

export interface DisksOptions {
  readonly vm: string;
  /** Of this side. */
  readonly nonce: Nonce;
  readonly site: SiteDisks;
  readonly post: (event: ProtocolEvent) => void;
  readonly logger: Logger;
  /** The log's head, told to the protocol before what is made later. */
  readonly head: () => Lsn;
  /** A clone point that lies before this request is told when this returns. */
  readonly onRequest: () => void;
  /** Of this side's QEMU: nobody else may have a disk. 0: it has not opened its log yet. */
  readonly qemuPid: () => number;
  /** QEMU is gone, or has lost a disk. */
  readonly onBroken: (error: Error) => void;
  /** Without it this side cannot go on. */
  readonly fail: (error: unknown) => void;
  /** The connections of a copy. */
  readonly links: {
    readonly disksFrom: (link: LinkId, signal: AbortSignal) => Promise<Duplex>;
    readonly disksTo: () => Promise<Duplex>;
  };
}

/** Of a copy under way. */
export type CopyStatus = NonNullable<NonNullable<SidecarStatus['disks']>['copy']>;

export type DisksStatus = NonNullable<SidecarStatus['disks']>;

const PROGRESS_MS = 1_000;

/** A copy in either direction. */
interface Copy {
  readonly mover: { readonly progress: CopyProgress };
  readonly startedAt: number;
}

export class Disks {
  private readonly disks: readonly Disk[];
  private life: number;
  private written = '';
  private sender: CopySender | null = null;
  private abort: AbortController | null = null;
  private copy: Copy | null = null;

  constructor(private readonly options: DisksOptions) {
    this.life = options.site.life;
    this.disks = options.site.list.map((disk, index) => this.join(disk, index));
  }

  /** @throws AddonError */
  listen(): void {
    for (const disk of this.disks) disk.listen();
  }

  // ---- effects ----

  answer(disk: number, id: number): void {
    this.disks[disk]?.answer(id);
  }

  learn(outcome: NumberedOutcome): void {
    this.disks[outcome.disk]?.learn(outcome);
  }

  /** Ends in `copied` or `copyFailed`. */
  copyTo(attempt: number, link: LinkId): void {
    for (const disk of this.disks) disk.lead();
    const sender = new CopySender(this.disks, {
      life: this.life,
      bytesPerSecondMax: this.options.site.bytesPerSecondMax,
      onProgress: this.progressOf(attempt),
    });
    const abort = new AbortController();
    this.sender = sender;
    this.abort = abort;
    this.copy = { mover: sender, startedAt: performance.now() };
    this.send(sender, link, abort.signal).then(
      () => {
        this.endOf(sender);
        this.options.post({ type: 'copied', attempt });
      },
      (error: unknown) => {
        this.endOf(sender);
        this.options.post({ type: 'copyFailed', attempt, detail: (error as Error).message });
      },
    );
  }

  endCopy(): void {
    this.sender?.stop();
    this.abort?.abort();
    this.sender = null;
    this.copy = null;
    for (const disk of this.disks) disk.free();
  }

  /** Backup: ends in `copied` or `copyFailed`. */
  receive(): void {
    if (this.disks.length === 0) return;
    for (const disk of this.disks) disk.prepare(false);
    const receiver = new CopyReceiver(this.disks);
    this.copy = { mover: receiver, startedAt: performance.now() };
    this.takeIn(receiver).then(
      () => {
        this.copy = null;
        this.options.post({ type: 'copied', attempt: 0 });
        receiver.confirm();
      },
      (error: unknown) => {
        this.copy = null;
        this.options.post({ type: 'copyFailed', attempt: 0, detail: (error as Error).message });
      },
    );
  }

  follow(): void {
    for (const disk of this.disks) disk.follow();
  }

  promote(): void {
    for (const disk of this.disks) disk.promote();
  }

  /** The images are told whose they are; what is done by that right waits until they know. */
  statusChanged(status: Status): void {
    const { epoch, peer } = status;
    const state = imageState(status);
    if (this.disks.length === 0 || epoch === 0 || state === null) return;
    const key = `${state} ${String(epoch)}`;
    if (key === this.written) return;
    this.written = key;
    const isOwner = state !== 'backup';
    if (isOwner) for (const disk of this.disks) disk.own(false);
    this.write(state, epoch, isOwner ? null : peer).then(() => {
      if (isOwner && key === this.written) for (const disk of this.disks) disk.own(true);
    }, this.options.fail);
  }

  // ---- of all ----

  /** Null: the VM has no disk. */
  status(): DisksStatus | null {
    if (this.disks.length === 0) return null;
    return {
      disks: this.disks.map(({ site, image }) => ({ id: site.id, image: image.path, bytes: image.bytes })),
      copy: this.copy === null ? null : copyStatus(this.copy),
    };
  }

  async close(): Promise<void> {
    this.endCopy();
    for (const disk of this.disks) disk.close();
    for (const { record } of this.options.site.list) await record.close();
  }

  private join(site: SiteDisk, index: number): Disk {
    const { post, head, onRequest, onBroken, qemuPid } = this.options;
    return new Disk(site, site.image, {
      onRequest,
      onDone: (id, k, { error, written }) => {
        if (error !== 0) this.tellError(site, error);
        post({ type: 'diskDone', disk: index, id, k, error, written, head: head() });
      },
      onDiffers: (detail) => {
        post({ type: 'diskFailed', detail });
      },
      onGone: (detail) => {
        onBroken(new Error(`${site.id}: ${detail}`));
      },
      isOurs: (pid) => {
        const isOurs = pid === qemuPid();
        if (!isOurs) this.tellStranger(site, pid);
        return isOurs;
      },
    });
  }

  private tellStranger({ id, socket }: SiteDisk, pid: number): void {
    this.options.logger.warn(
      `${id}: process ${String(pid)} is not the VM's QEMU, and may not use ${socket}`,
      {
        reason: 'diskStranger',
      },
    );
  }

  private tellError({ id, image }: SiteDisk, error: number): void {
    this.options.logger.warn(`${id} (${image.path}): error ${String(error)}, which the guest is told`, {
      reason: 'diskError',
    });
  }

  private async send(sender: CopySender, link: LinkId, signal: AbortSignal): Promise<void> {
    await sender.run(await this.options.links.disksFrom(link, signal));
  }

  private endOf(sender: CopySender): void {
    if (this.sender !== sender) return;
    this.sender = null;
    this.copy = null;
    for (const disk of this.disks) disk.sends(null);
  }

  private async takeIn(receiver: CopyReceiver): Promise<void> {
    const [socket] = await Promise.all([this.options.links.disksTo(), this.clear()]);
    for (const disk of this.disks) disk.prepare(true);
    await receiver.run(socket);
    this.life = receiver.life;
    await this.write('copy', 0, null);
  }

  /** What was in the images is of no use from here on, and they say so before it goes. */
  private async clear(): Promise<void> {
    await this.write('incomplete', 0, null);
    for (const { image } of this.disks) await image.clear();
  }

  private async write(state: ImageRecord['state'], epoch: number, of: Nonce | null): Promise<void> {
    const { vm, nonce: side, site, head } = this.options;
    const record: ImageRecord = { version: 1, vm, state, life: this.life, epoch, side, of, position: head() };
    await Promise.all(site.list.map((disk) => disk.record.write(record)));
  }

  private progressOf(attempt: number): (bytes: number) => void {
    let toldAt = -Infinity;
    return (bytes) => {
      const now = performance.now();
      if (now - toldAt < PROGRESS_MS) return;
      toldAt = now;
      this.options.post({ type: 'copyProgress', attempt, bytes });
    };
  }
}

function copyStatus({ mover, startedAt }: Copy): CopyStatus {
  const { doneBytes, totalBytes } = mover.progress;
  const seconds = Math.max(0.001, (performance.now() - startedAt) / 1000);
  const bytesPerSecond = Math.round(doneBytes / seconds);
  const secondsLeft = bytesPerSecond === 0 ? null : Math.ceil((totalBytes - doneBytes) / bytesPerSecond);
  return { doneBytes, totalBytes, bytesPerSecond, secondsLeft };
}
