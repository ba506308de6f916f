// SPDX-License-Identifier: Apache-2.0
import { Detector } from '../detector.js';
import { ToldOutcomes } from '../disk/outcomes.js';
import { DigestLog } from './digests.js';
import type { HelloFrame, ResumePoint } from '../frames.js';
import { LagMeter } from '../speed/lag.js';
import type { Limits } from '../limits.js';
import type { Outbox } from '../outbox.js';
import { Preparation } from './preparation.js';
import type { LinkId, Lsn, Millis, Nonce } from '../types.js';
import { ShipWindow } from './window.js';

/** What begins with a hello. */
export interface Beginning {
  readonly link: LinkId;
  readonly attempt: number;
  readonly hasDisks: boolean;
}

/** All that the primary knows of its one backup. */
export class Standby {
  readonly nonce: Nonce;
  readonly detector: Detector;
  readonly digests: DigestLog;
  readonly lag: LagMeter;
  readonly preparation: Preparation;
  /** Of disk requests. */
  readonly outcomes = new ToldOutcomes();
  readonly attempt: number;
  link: LinkId | null;
  readonly #limits: Limits;
  readonly #ringBytes: number;
  #window: ShipWindow | null = null;
  #releasedSent = 0;

  constructor(limits: Limits, hello: HelloFrame, { link, attempt, hasDisks }: Beginning, now: Millis) {
    this.#limits = limits;
    this.nonce = hello.nonce;
    this.#ringBytes = hello.ringBytes;
    this.link = link;
    this.attempt = attempt;
    this.detector = new Detector(limits, now);
    this.digests = new DigestLog(limits);
    this.lag = new LagMeter(limits);
    this.preparation = new Preparation(limits, hasDisks, now);
  }

  /** It has taken in the clone, and replays. */
  get loaded(): boolean {
    return this.preparation.loaded;
  }

  /** All log below is in the backup's memory; null before the clone point. */
  get received(): Lsn | null {
    return this.#window === null ? null : this.#window.received;
  }

  get consumed(): Lsn {
    return this.#window?.consumed ?? 0;
  }

  /** The clone's state is that of `lsn`, behind `frames` outputs. */
  clonePoint(lsn: Lsn, frames: number): void {
    this.#window = new ShipWindow(this.#limits, this.#ringBytes, lsn);
    this.digests.clonePoint(frames);
    this.lag.consumed(lsn);
  }

  /** False: it cannot be so. */
  acknowledge(received: Lsn, consumed: Lsn, compared: number): boolean {
    if (this.#window?.acknowledge(received, consumed) !== true) return false;
    this.lag.consumed(consumed);
    return this.digests.compared(compared);
  }

  /** The same backup on a new connection. False: it cannot be so. */
  resume(point: ResumePoint, link: LinkId, now: Millis): boolean {
    if (this.#window?.resume(point.received, point.consumed) !== true) return false;
    if (!this.digests.resume(point.compared)) return false;
    this.link = link;
    this.lag.consumed(point.consumed);
    this.detector.linkUp(now);
    this.#releasedSent = 0;
    return true;
  }

  /**
   * Share of the room for log and digests that is in use; 1: there is none. Log that the backup has not acknowledged lies
   * in this side's ring, of `ringBytes`; what it has not replayed lies in both rings, and is all of it while it loads.
   */
  usedShare(head: Lsn, ringBytes: number): number {
    const { received } = this;
    if (received === null) return this.digests.usedShare;
    const unacknowledged = (head - received) / ringBytes;
    const unreplayed = (head - this.consumed) / (ringBytes + this.#ringBytes);
    return Math.max(this.digests.usedShare, unacknowledged, unreplayed);
  }

  /** Sends what there is to send: log first, then digests of outputs that it led to. */
  pump(head: Lsn, out: Outbox): void {
    if (this.link === null || this.#window === null) return;
    for (let range = this.#window.next(head); range !== null; range = this.#window.next(head)) {
      out.push({ type: 'ship', link: this.link, ...range });
    }
    for (const digest of this.digests.take(this.#window.shipped)) out.send(this.link, digest);
  }

  /** Outputs up to `index` have left: the backup need not keep its copies. */
  tellReleased(index: number, out: Outbox): void {
    const n = this.digests.numberOf(index);
    if (n === null || n <= this.#releasedSent || this.link === null) return;
    this.#releasedSent = n;
    out.send(this.link, { type: 'released', n });
  }
}
