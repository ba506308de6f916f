// SPDX-License-Identifier: Apache-2.0
/**
 * One disk: its QEMU's requests on the one hand, its image on the other, and between them what a request waits for. A
 * primary's is carried out in its turn, and the backup is told how it came out before QEMU hears of it. A backup's waits
 * until that is known, and is then carried out alike; from the promotion on, what is not known is carried out as well.
 */
import type { Image } from '../../io/disk/image.js';
import type { NbdRequest } from '../../io/nbd/requests.js';
import { NbdServer } from '../../io/nbd/server.js';
import type { CopySource } from '../../protocol/disk/copy-source.js';
import type { CopyTarget } from '../../protocol/disk/copy-target.js';
import { RequestOrder } from '../../protocol/disk/order.js';
import { KnownOutcomes, type NumberedOutcome } from '../../protocol/disk/outcomes.js';
import { isMutation, type DiskOutcome, type DiskRequest } from '../../protocol/disk/request.js';

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

/** `free`: no backup knows of the requests. `lead`: one does. `follow`: as one. `promoted`: not any more. */
type Part = 'free' | 'lead' | 'follow' | 'promoted';

interface Entry {
  readonly id: number;
  readonly k: number;
  readonly request: DiskRequest;
  readonly data: Buffer;
  /** Nothing that came before it is in its way. */
  isNext: boolean;
  /** How the primary's came out; null: not known, or nobody's but ours. */
  told: DiskOutcome | null;
}

const FINE: DiskOutcome = { error: 0, written: 0 };

export class Disk {
  private server: Pick<NbdServer, 'answer' | 'close'> | null = null;
  private part: Part = 'free';
  private count = 0;
  private known = new KnownOutcomes();
  private readonly order = new RequestOrder();
  private readonly waiting = new Map<number, Entry>();
  private readonly answers = new Map<number, { readonly error: number; readonly data: Buffer | null }>();
  private isOwned = false;
  private isPrepared = true;
  outgoing: Outgoing | null = null;
  incoming: Incoming | null = null;

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
    this.isOwned = isOwned;
    this.retry();
  }

  /** Primary, at the clone point: the next request is the first. */
  lead(): void {
    this.part = 'lead';
    this.count = 0;
  }

  /** Primary: there is no backup any more. */
  free(): void {
    this.part = 'free';
    this.outgoing = null;
    this.retry();
  }

  /** Backup: the next request is the first after the clone point. */
  follow(): void {
    this.part = 'follow';
    this.count = 0;
    this.known = new KnownOutcomes();
  }

  /** Backup: until its old contents are gone, nothing touches the image. */
  prepare(isPrepared: boolean): void {
    this.isPrepared = isPrepared;
    this.retry();
  }

  /** Primary: nothing has to be saved any more. */
  saved(): void {
    this.outgoing = null;
    this.retry();
  }

  /** Backup: no outcome comes any more. */
  promote(): void {
    this.part = 'promoted';
    this.retry();
  }

  learn(outcome: NumberedOutcome): void {
    this.known.learn(outcome);
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
    for (const entry of [...this.waiting.values()]) this.tryStart(entry);
  }

  close(): void {
    this.server?.close();
    this.waiting.clear();
    this.image.close();
  }

  /** `id` names the request in its answer. */
  readonly take = (id: number, { request, data }: NbdRequest): void => {
    this.hooks.onRequest();
    const isCounted = this.part !== 'free';
    if (isCounted) this.count += 1;
    const isNext = this.order.add(id, request);
    const entry: Entry = { id, k: isCounted ? this.count : 0, request, data, isNext, told: null };
    this.waiting.set(id, entry);
    this.tryStart(entry);
  };

  private tryStart(entry: Entry): void {
    if (!this.waiting.has(entry.id) || !this.mayStart(entry)) return;
    this.waiting.delete(entry.id);
    this.carryOut(entry).then(
      () => undefined,
      (error: unknown) => {
        this.hooks.onGone((error as Error).message);
      },
    );
  }

  private mayStart(entry: Entry): boolean {
    if (!entry.isNext || !this.isPrepared) return false;
    if (this.part === 'follow' || this.part === 'promoted') entry.told ??= this.known.take(entry.k);
    if (entry.told === null && this.part === 'follow') return false;
    const isByOwnRight = entry.told === null;
    if (isByOwnRight && !this.isOwned && entry.request.kind !== 'read') return false;
    return this.isHere(entry) && this.isSaved(entry);
  }

  /** What the request touches has come in. */
  private isHere({ request, told }: Entry): boolean {
    if (this.incoming === null) return true;
    const { target, want } = this.incoming;
    // One that failed covers nothing, whatever it wanted to.
    const isWhole = told === null || told.error === 0;
    const { absent, isFree } = target.before(isWhole ? request : { ...request, kind: 'read' });
    for (const block of absent) want(block);
    return isFree;
  }

  /** What the request changes has gone out. */
  private isSaved({ request }: Entry): boolean {
    if (this.outgoing === null || !isMutation(request)) return true;
    const { source, save, isFull } = this.outgoing;
    const { unread, isFree } = source.before(request);
    for (const block of unread) save(block);
    return isFree && !isFull();
  }

  private async carryOut(entry: Entry): Promise<void> {
    const { told } = entry;
    const { outcome, data } =
      told !== null && told.error !== 0 ? await this.failAlike(entry, told) : await this.execute(entry);
    if (told !== null && told.error === 0 && outcome.error !== 0) {
      this.hooks.onDiffers(this.words(entry, outcome));
      return; // no answer that differs from the primary's
    }
    this.answers.set(entry.id, { error: outcome.error, data });
    for (const id of this.order.finish(entry.id)) this.isNext(id);
    this.hooks.onDone(entry.id, this.part === 'lead' ? entry.k : 0, outcome);
  }

  private isNext(id: number): void {
    const entry = this.waiting.get(id);
    if (entry === undefined) return;
    entry.isNext = true;
    this.tryStart(entry);
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
