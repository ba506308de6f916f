// SPDX-License-Identifier: Apache-2.0
import type { Effect, ReleaseLimit } from '../../sidecar/protocol/effects.js';
import { DIGEST_BYTES } from '../../sidecar/protocol/primary/digest-queue.js';
import type { Frame } from '../../sidecar/protocol/frames.js';
import type { EndReason } from '../../sidecar/protocol/reasons.js';
import { writerOf } from './disk-image.js';
import type { Incarnation } from './incarnation.js';
import type { Output } from './machine.js';

/** Raised at the step at which a proof obligation is broken. */
export class Violation extends Error {}

const OWNS_ALONE = new Set(['alone', 'cloning', 'catchingUp', 'goingLive']);
const LEASE_ANSWERS_CLOSED = new Set(['ack', 'prepared']);

/**
 * The proof obligations, watched from outside. What is known here is the truth: which claims the store has carried
 * out, what backups have said, and what the world has seen.
 */
export class Safety {
  /** Outputs that clients of this life of the VM have seen. */
  #seen = new Map<number, string>();
  #newest: Output | null = null;
  /** Winner of each epoch of this life. */
  #wins = new Map<number, string>();
  /** Newest request by cell of the disk that the world has seen flushed. It outlives lives. */
  #flushed: readonly number[] = [];
  #latestWin: { readonly epoch: number; readonly nonce: string } | null = null;
  readonly #acked = new Map<string, { primary: string; lsn: number }>();
  readonly #digests = new Map<string, Set<string>>();
  readonly #claimed = new Set<string>();
  readonly #won = new Set<string>();
  /** Primaries that had no answer from the store, and said so when they ended. */
  readonly #unsure = new Set<string>();
  /** Who ended, switched off on purpose. */
  #off: string | null = null;

  /** A cold restart: everybody of before is dead, and clients know that the VM was. */
  newLife(): void {
    this.#seen = new Map();
    this.#newest = null;
    this.#wins = new Map();
    this.#latestWin = null;
    this.#off = null;
  }

  /** Obligation 1. */
  win(epoch: number, nonce: string): void {
    const before = this.#wins.get(epoch);
    if (before !== undefined && before !== nonce) throw new Violation(`epoch ${epoch} has two winners`);
    this.#wins.set(epoch, nonce);
    if (this.#latestWin === null || epoch >= this.#latestWin.epoch) this.#latestWin = { epoch, nonce };
  }

  /** Obligation 11: what was flushed when something was seen is in the image that a VM starts from. */
  coldStart(who: Incarnation): void {
    const cells = who.disk?.image.cells ?? [];
    if (who.world.hadDivergence) return;
    cells.forEach((value, cell) => {
      const wanted = this.#flushed[cell] ?? 0;
      if (writerOf(value) >= wanted) return;
      throw new Violation(
        `${who.name} starts from an image with request ${writerOf(value)} in cell ${cell}: ${wanted} was flushed there`,
      );
    });
  }

  /** Obligation 12: an image is changed by its VM's owner, or as a primary has told. */
  writesByOwnRight(who: Incarnation): void {
    if (who.target !== null && !this.#won.has(who.nonce)) {
      throw new Violation(`${who.name} writes by its own right, and has not won`);
    }
    if (who.disk?.image.record?.side !== who.nonce) {
      throw new Violation(`${who.name} writes to an image that knows another owner`);
    }
  }

  /** Obligation 13: at rest both images are equal. */
  equalAtRest(one: Incarnation, other: Incarnation): void {
    const [cells, others] = [one.disk?.image.cells ?? [], other.disk?.image.cells ?? []];
    const at = cells.findIndex((value, cell) => value !== others[cell]);
    if (at < 0) return;
    const writers = `${writerOf(cells[at] ?? 0)} and ${writerOf(others[at] ?? 0)}`;
    throw new Violation(`the images of ${one.name} and ${other.name} differ in cell ${at}: ${writers}`);
  }

  /** The store has told this incarnation that it has won. */
  told(nonce: string): void {
    this.#won.add(nonce);
  }

  effect(who: Incarnation, effect: Effect): void {
    if (effect.type === 'send') this.#frame(who, effect.frame);
    if (effect.type === 'lease' && effect.request.op === 'claim') this.#claimed.add(who.nonce);
    // Obligation 5.
    if (effect.type === 'promote' && !this.#won.has(who.nonce)) {
      throw new Violation(`${who.name} is promoted without a won lease`);
    }
    if (effect.type === 'promote' && this.#off !== null) {
      throw new Violation(`${who.name} is promoted, but the VM was switched off with ${this.#off}`);
    }
    if (effect.type === 'report' && effect.reason === 'unclaimed') this.#unsure.add(who.nonce);
    if (effect.type === 'end') this.#ended(who, effect.reason);
  }

  /** Obligation 9: a VM that was switched off on purpose stays off; who cannot make sure of it says so. */
  #ended(who: Incarnation, reason: EndReason): void {
    const asWanted = reason === 'userAction' || reason === 'vmNotRunning';
    if (!who.switchedOff || !asWanted || this.#unsure.has(who.nonce)) return;
    this.#off = who.name;
    if (this.#latestWin !== null && this.#latestWin.nonce !== who.nonce) {
      throw new Violation(`${who.name} ends as if its VM were off, but another has won`);
    }
  }

  #frame(who: Incarnation, frame: Frame): void {
    const resumes = frame.type === 'hello' && frame.resume !== null;
    if ((resumes || LEASE_ANSWERS_CLOSED.has(frame.type)) && this.#claimed.has(who.nonce)) {
      throw new Violation(`${who.name} sends ${frame.type} although its claim has begun`); // obligation 3
    }
    if (frame.type === 'ack') this.#ack(who, who.status?.peer ?? '', frame.received);
    if (frame.type === 'hello' && frame.resume !== null)
      this.#ack(who, frame.resume.primary, frame.resume.received);
  }

  #ack(who: Incarnation, primary: string, lsn: number): void {
    const before = this.#acked.get(who.nonce)?.lsn ?? 0;
    this.#acked.set(who.nonce, { primary, lsn: Math.max(lsn, before) });
  }

  /** Obligation 2, and: what was seen is never contradicted. */
  released(who: Incarnation, output: Output, head: number, limit: ReleaseLimit): void {
    if (limit.by === 'owner') this.#mustOwn(who);
    else this.#mustBeAcked(who, head);
    if (this.#newest === null || output.lsn > this.#newest.lsn) this.#mustContinue(who);
    const before = this.#seen.get(output.lsn);
    if (before !== undefined && before !== output.hash && this.#couldKnow(who, before)) {
      throw new Violation(`${who.name} contradicts the output seen at ${output.lsn}`);
    }
    if (before === undefined && this.#newest !== null && output.lsn < this.#newest.lsn) {
      throw new Violation(
        `${who.name} sends output ${output.lsn} for the first time after ${this.#newest.lsn}`,
      );
    }
    if (output.previous > 0 && !this.#seen.has(output.previous) && !who.machine.diverged) {
      throw new Violation(
        `${who.name} releases output ${output.lsn}, but ${output.previous} before it was never sent`,
      );
    }
    this.#seen.set(output.lsn, output.hash);
    this.#flushed = output.flushed.map((request, cell) => Math.max(request, this.#flushed[cell] ?? 0));
    if (this.#newest === null || output.lsn > this.#newest.lsn) this.#newest = output;
  }

  /** A digest has reached this backup. */
  digest(who: Incarnation, hash: string): void {
    const known = this.#digests.get(who.nonce) ?? new Set<string>();
    this.#digests.set(who.nonce, known.add(hash));
  }

  /** An engine that does not replay exactly is found out by digests, and by nothing else. */
  #couldKnow(who: Incarnation, hash: string): boolean {
    return !who.machine.diverged || this.#digests.get(who.nonce)?.has(hash) === true;
  }

  #mustOwn(who: Incarnation): void {
    if (this.#latestWin?.nonce === who.nonce) return;
    throw new Violation(`${who.name} releases as owner, but the last winner is another`);
  }

  #mustBeAcked(who: Incarnation, head: number): void {
    for (const { primary, lsn } of this.#acked.values()) if (primary === who.nonce && lsn >= head) return;
    throw new Violation(`${who.name} releases an output of ${head} that no backup has acknowledged`);
  }

  #mustContinue(who: Incarnation): void {
    const { machine } = who;
    const newest = this.#newest;
    if (newest === null || machine.made.get(newest.lsn) === newest.hash) return;
    if (this.#couldKnow(who, newest.hash)) {
      throw new Violation(`${who.name} has another history than the output seen at ${newest.lsn}`);
    }
  }

  /** Obligation 4: what goes live has in its history all that was seen. */
  wentLive(who: Incarnation): void {
    for (const [lsn, hash] of this.#seen) {
      if (who.machine.made.get(lsn) === hash || !this.#couldKnow(who, hash)) continue;
      throw new Violation(`${who.name} goes live at ${who.machine.lsn} without the output seen at ${lsn}`);
    }
  }

  /** Never two that release without being acknowledged. */
  owners(all: readonly Incarnation[]): void {
    const owners = all.filter((one) => !one.dead && OWNS_ALONE.has(one.status?.phase ?? ''));
    if (owners.length > 1) throw new Violation(`two live: ${owners.map((one) => one.name).join(', ')}`);
  }

  /** Every queue keeps to its bound. */
  bounds(who: Incarnation): void {
    const { limits } = who;
    const numbers = who.core.numbers(0);
    if (numbers === null) return;
    const outputsMax = limits.heldOutputsMax + limits.holdSlackOutputs;
    const bytesMax = limits.heldBytesMax + limits.holdSlackBytes;
    const retainedMax = outputsMax + limits.holdSlackOutputs;
    const bounds: readonly (readonly [string, number, number])[] = [
      ['outputs held', numbers.heldOutputs, outputsMax],
      ['bytes held', numbers.heldBytes, bytesMax],
      ['digests kept', numbers.keptDigests, limits.digestBytesMax / DIGEST_BYTES + limits.holdSlackOutputs],
      ['outputs retained', numbers.retainedOutputs, retainedMax],
      ['bytes retained', numbers.retainedBytes, bytesMax + limits.holdSlackBytes],
      ['outputs queued', who.queued, retainedMax],
    ];
    for (const [what, is, most] of bounds) {
      if (is > most) throw new Violation(`${who.name}: ${what}: ${is}, more than ${most}`);
    }
  }
}
