// SPDX-License-Identifier: Apache-2.0
import type { DeskStart, DiskDesk } from '../../sidecar/protocol/disk/desk.js';
import type { NumberedOutcome } from '../../sidecar/protocol/disk/outcomes.js';
import type { DiskOutcome } from '../../sidecar/protocol/disk/request.js';
import type { ImageAge } from '../../sidecar/protocol/disk/newest.js';
import type { Status } from '../../sidecar/protocol/status.js';
import { CopyIn, CopyOut } from './disk-copy.js';
import type { HostImage } from './disk-image.js';
import { diskRequest, type Answer, type GuestRequest } from './guest-disk.js';
import type { Incarnation } from './incarnation.js';
import type { Connection } from './network.js';

const EIO = 5;
const EXECUTE_MS = [0.1, 3] as const;
const RECORD_MS = [0.5, 8] as const;

/** The I/O side of one incarnation's disk, around the real desk: what takes time, and what fails. */
export class SimDisk {
  readonly desk: DiskDesk;
  #out: CopyOut | null = null;
  #in: CopyIn | null = null;
  /** Copies that backups have asked for and nobody has begun. */
  readonly #asked = new Map<Incarnation, Connection>();
  readonly #requests = new Map<number, GuestRequest>();
  /** Carried out; QEMU hears of it when the core says so. */
  readonly #answers = new Map<number, Answer>();
  /** QEMU has heard of them, and not taken them up. */
  readonly #given = new Map<number, Answer>();
  #written = '';

  constructor(
    readonly owner: Incarnation,
    readonly image: HostImage,
  ) {
    this.desk = new owner.world.product.disk.DiskDesk();
  }

  // ---- engine ----

  /** A request that the engine may take up as answered; null: there is none. */
  get done(): number | null {
    return [...this.#given.keys()][0] ?? null;
  }

  answerTo(r: number): Answer | null {
    return this.#given.get(r) ?? null;
  }

  taken(r: number): void {
    this.#given.delete(r);
  }

  // ---- requests ----

  arrived(request: GuestRequest): void {
    if (this.owner.machine.diverged) this.owner.world.hadDivergence = true;
    this.#requests.set(request.r, request);
    this.desk.take(request.r, diskRequest(request));
    this.run();
  }

  /** Begins what may begin. */
  run(): void {
    const { starts, saves, wants } = this.desk.work();
    for (const block of saves) this.#out?.save(block);
    for (const block of wants) this.#in?.want(block);
    for (const start of starts) this.#begin(start);
  }

  #begin({ id, told }: DeskStart): void {
    const request = this.#requests.get(id);
    if (request === undefined) return;
    this.#requests.delete(id);
    if (told === null && request.kind !== 'read') this.owner.world.safety.writesByOwnRight(this.owner);
    this.later(EXECUTE_MS, () => {
      this.#carryOut(request, told);
    });
  }

  #carryOut(request: GuestRequest, told: DiskOutcome | null): void {
    const { world } = this.owner;
    const fails = told === null ? world.diskRandom.chance(world.diskErrors) : told.error !== 0;
    const error = fails ? (told?.error ?? EIO) : 0;
    const written = fails ? (told?.written ?? this.#halfOf(request)) : request.count;
    const found = this.#execute(request, error, written);
    this.#answers.set(request.r, { error, found });
    const k = this.desk.finish(request.r);
    this.run();
    this.owner.hand({
      type: 'diskDone',
      disk: 0,
      id: request.r,
      k,
      error,
      written: error === 0 ? 0 : written,
      head: this.owner.head,
    });
  }

  /** A write that fails has come so far. In cells here; the core only hands the number on. */
  #halfOf({ kind, count }: GuestRequest): number {
    return kind === 'write' ? Math.floor(count / 2) : 0;
  }

  #execute({ kind, first, count, value }: GuestRequest, error: number, written: number): readonly number[] {
    if (kind === 'write') this.image.write(first, Array<number>(written).fill(value));
    if (kind === 'flush' && error === 0) this.image.flush();
    return kind === 'read' && error === 0 ? this.image.cells.slice(first, first + count) : [];
  }

  // ---- effects ----

  answer(id: number): void {
    const answer = this.#answers.get(id);
    if (answer === undefined) return;
    this.#answers.delete(id);
    this.owner.world.schedule.after(this.owner.world.diskRandom.between(0.1, 1), () => {
      this.#given.set(id, answer);
    });
  }

  learn(outcome: NumberedOutcome): void {
    this.desk.learn(outcome);
    this.run();
  }

  follow(): void {
    this.desk.follow();
  }

  promote(): void {
    this.desk.promote();
    this.run();
  }

  /** Of the primary: to the backup at the other end. */
  copyTo(attempt: number, peer: Incarnation | null): void {
    this.desk.lead();
    this.#out = new CopyOut(this, attempt, peer);
    for (const [from, connection] of this.#asked) this.#out.offer(from, connection);
    this.#asked.clear();
  }

  endCopy(): void {
    this.#out?.stop();
    this.#out = null;
    this.desk.free();
    this.run();
  }

  /** A backup has opened the connection of its copy. */
  accept(from: Incarnation, connection: Connection): void {
    if (this.#out === null) this.#asked.set(from, connection);
    else this.#out.offer(from, connection);
  }

  /** Of a backup: its image is to come by a connection of its own. */
  receive(): void {
    this.desk.prepare(false);
    this.#in = new CopyIn(this, this.owner.target);
  }

  cleared(): void {
    this.desk.prepare(true);
    this.run();
  }

  // ---- what the image knows ----

  statusChanged(status: Status): void {
    const { world } = this.owner;
    const state = world.product.disk.imageState(status);
    if (status.epoch === 0 || state === null) return;
    const key = `${state} ${status.epoch}`;
    if (key === this.#written) return;
    this.#written = key;
    const isOwner = state !== 'backup';
    if (isOwner) this.desk.own(false);
    this.record(state, status.epoch, isOwner ? null : status.peer, () => {
      if (!isOwner || key !== this.#written) return;
      this.desk.own(true);
      this.run();
    });
  }

  record(state: ImageAge['state'], epoch: number, of: string | null, then: () => void): void {
    this.later(RECORD_MS, () => {
      this.owner.world.trace(`${this.owner.name} image: ${state} ${epoch}`);
      this.image.record = { state, life: this.owner.life, epoch, side: this.owner.nonce, of };
      then();
    });
  }

  // ---- process ----

  /** What the process does after that time, if it lives and runs. */
  later([least, most]: readonly [number, number], what: () => void): void {
    const { world } = this.owner;
    world.schedule.after(world.diskRandom.between(least, most), () => {
      this.owner.arrives(what);
    });
  }

  killed(silent: boolean): void {
    this.#out?.killed(silent);
    this.#in?.killed(silent);
  }
}
