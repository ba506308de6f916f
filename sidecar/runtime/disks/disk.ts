// SPDX-License-Identifier: Apache-2.0
/**
 * One disk: its QEMU's requests on the one hand, its image on the other, and between them the desk that knows what a request
 * waits for (protocol/disk/desk.ts). The core is told how each came out, and QEMU is answered when it says so.
 */
import type { Image } from '../../io/disk/image.js';
import type { NbdRequest } from '../../io/nbd/requests.js';
import { NbdServer } from '../../io/nbd/server.js';
import type { CopySource } from '../../protocol/disk/copy-source.js';
import type { CopyTarget } from '../../protocol/disk/copy-target.js';
import { DiskDesk, type DeskStart } from '../../protocol/disk/desk.js';
import type { NumberedOutcome } from '../../protocol/disk/outcomes.js';
import { FINE, type DiskOutcome } from '../../protocol/disk/request.js';

export interface DiskSite {
  /** Name of QEMU's node and of the export. */
  readonly id: string;
  /** Unix socket that QEMU connects to. */
  readonly socket: string;
}

export interface DiskHooks {
  /** A request has come: a clone point that lies before it is known when this returns. */
  readonly onRequest: () => void;
  readonly onDone: (id: number, k: number, outcome: DiskOutcome) => void;
  /** The primary's request came out well, and this side's does not. */
  readonly onDiffers: (detail: string) => void;
  readonly onGone: (detail: string) => void;
  /** May the process with this pid have the disk? */
  readonly isOurs: (pid: number) => boolean;
}

/** The image on its way out, or in. */
export interface Outgoing {
  readonly source: CopySource;
  /** Reads the block as it is now, before anything changes it; `retry` of the disk follows. */
  readonly save: (block: number) => void;
  /** So much waits to be sent that the guest has to wait, too. */
  readonly isFull: () => boolean;
}
export interface Incoming {
  readonly target: CopyTarget;
  readonly want: (block: number) => void;
}

interface Entry extends NbdRequest {
  readonly id: number;
}

export class Disk {
  private server: Pick<NbdServer, 'answer' | 'close'> | null = null;
  private readonly desk = new DiskDesk();
  private readonly entries = new Map<number, Entry>();
  private readonly answers = new Map<number, { readonly error: number; readonly data: Buffer | null }>();
  private outgoing: Outgoing | null = null;
  private incoming: Incoming | null = null;

  constructor(
    readonly site: DiskSite,
    readonly image: Image,
    private readonly hooks: DiskHooks,
  ) {}

  /** @throws AddonError */
  listen(): void {
    const { socket, id } = this.site;
    const { isOurs, onGone } = this.hooks;
    const server = NbdServer.listen(
      socket,
      { name: id, bytes: this.image.bytes },
      {
        onRequest: this.take,
        onGone,
        isOurs,
        onBroken: ({ message }) => {
          onGone(message);
        },
      },
    );
    this.serve(server);
  }

  /** Answers go there. */
  serve(server: Pick<NbdServer, 'answer' | 'close'>): void {
    this.server = server;
  }

  /** The image bears this side's name as its owner: it may be changed by right of that. */
  own(isOwned: boolean): void {
    this.desk.own(isOwned);
    this.retry();
  }

  /** Primary, at the clone point: the next request is the first. */
  lead(): void {
    this.desk.lead();
  }

  /** Primary: there is no backup any more. */
  free(): void {
    this.desk.free();
    this.sends(null);
  }

  /** Backup: the next request is the first after the clone point. */
  follow(): void {
    this.desk.follow();
  }

  /** Backup: until its old contents are gone, nothing touches the image. */
  prepare(isPrepared: boolean): void {
    this.desk.prepare(isPrepared);
    this.retry();
  }

  /** Null: nothing has to be saved any more. */
  sends(outgoing: Outgoing | null): void {
    this.outgoing = outgoing;
    this.desk.outgoing = outgoing;
    if (outgoing === null) this.retry();
  }

  /** Null: all of it is here. */
  receives(incoming: Incoming | null): void {
    this.incoming = incoming;
    this.desk.incoming = incoming?.target ?? null;
    if (incoming === null) this.retry();
  }

  /** Backup: no outcome comes any more. */
  promote(): void {
    this.desk.promote();
    this.retry();
  }

  learn(outcome: NumberedOutcome): void {
    this.desk.learn(outcome);
    this.retry();
  }

  answer(id: number): void {
    const answer = this.answers.get(id);
    if (answer === undefined) return;
    this.answers.delete(id);
    this.server?.answer(id, answer.error, answer.data);
  }

  /** Looks again at what waits. */
  retry(): void {
    const { starts, saves, wants } = this.desk.work();
    for (const block of saves) this.outgoing?.save(block);
    for (const block of wants) this.incoming?.want(block);
    for (const start of starts) this.begin(start);
  }

  close(): void {
    this.server?.close();
    this.desk.clear();
    this.image.close();
  }

  /** `id` names the request in its answer. */
  readonly take = (id: number, request: NbdRequest): void => {
    this.hooks.onRequest();
    this.entries.set(id, { ...request, id });
    this.desk.take(id, request.request);
    this.retry();
  };

  private begin({ id, told }: DeskStart): void {
    const entry = this.entries.get(id);
    if (entry === undefined) return;
    this.entries.delete(id);
    this.carryOut(entry, told).catch((error: unknown) => {
      this.hooks.onGone((error as Error).message);
    });
  }

  private async carryOut(entry: Entry, told: DiskOutcome | null): Promise<void> {
    const { outcome, data } =
      told !== null && told.error !== 0 ? await this.failAlike(entry, told) : await this.execute(entry);
    if (told !== null && told.error === 0 && outcome.error !== 0) {
      this.hooks.onDiffers(this.words(entry, outcome));
      return; // no answer that differs from the primary's
    }
    this.answers.set(entry.id, { error: outcome.error, data });
    const k = this.desk.finish(entry.id);
    this.retry();
    this.hooks.onDone(entry.id, k, outcome);
  }

  private async execute({ request, data }: Entry): Promise<{ outcome: DiskOutcome; data: Buffer | null }> {
    const { kind, offset, length } = request;
    if (kind === 'read') {
      const { error, data: found } = await this.image.read(offset, length);
      return { outcome: { error, written: 0 }, data: found };
    }
    if (kind === 'flush') return { outcome: { error: await this.image.flush(), written: 0 }, data: null };
    const outcome =
      kind === 'write'
        ? await this.image.write(offset, data)
        : await this.image.zero(offset, length, request.mayPunch);
    if (outcome.error !== 0 || !request.fua) return { outcome, data: null };
    return { outcome: { error: await this.image.flush(), written: length }, data: null };
  }

  /** The primary's write came so far before its error. */
  private async failAlike(entry: Entry, told: DiskOutcome): Promise<{ outcome: DiskOutcome; data: null }> {
    const { request, data } = entry;
    const { offset } = request;
    const done =
      told.written === 0
        ? FINE
        : request.kind === 'write'
          ? await this.image.write(offset, data.subarray(0, told.written))
          : await this.image.zero(offset, told.written, request.mayPunch);
    if (done.error !== 0) this.hooks.onDiffers(this.words(entry, done));
    return { outcome: told, data: null };
  }

  private words({ request }: Entry, { error }: DiskOutcome): string {
    const where = `${request.kind} at ${String(request.offset)}`;
    return `${this.image.path}: ${where}: error ${String(error)}, where the primary's image had none`;
  }
}
