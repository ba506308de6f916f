// SPDX-License-Identifier: Apache-2.0
import { Fifo } from './fifo.js';
import type { Limits } from './limits.js';
import type { LossReason } from './reasons.js';
import type { Millis } from './types.js';

type LinkState = { readonly up: true } | { readonly up: false; readonly since: Millis };

/**
 * Says when the peer counts as dead, by local time only:
 * - nothing was heard for `deadAfterMs`;
 * - it is heard, but does not hear us: no echo of a beat younger than that (a cut in one direction);
 * - the connection broke and did not come back in `reconnectGraceMs`, or a dial failed;
 * - this side itself stood still so long that the peer must hold it for dead, and no beat sent
 *   since has been echoed: until then the peer is suspect, and nothing may rest on it.
 */
export class Detector {
  readonly #limits: Limits;
  #link: LinkState = { up: true };
  #heardAt: Millis;
  #tickedAt: Millis;
  #beatAt: Millis | null = null;
  #seq = 0;
  #peerSeq = 0;
  #sent = new Fifo<{ readonly seq: number; readonly at: Millis }>();
  /** When the newest of our beats that came back was sent. */
  #echoedAt: Millis;
  #probe: number | null = null;
  #dialFailed = false;

  constructor(limits: Limits, now: Millis) {
    this.#limits = limits;
    this.#heardAt = now;
    this.#tickedAt = now;
    this.#echoedAt = now;
  }

  /** Nothing may rest on the peer just now. */
  get suspect(): boolean {
    return this.#probe !== null;
  }

  heardAge(now: Millis): Millis {
    return now - this.#heardAt;
  }

  /**
   * With each tick, first. A late one means that this process was busy or not scheduled: what the peer sent meanwhile
   * may lie unread, and that time is not its silence.
   */
  tick(now: Millis): void {
    const late = now - this.#tickedAt - this.#limits.tickLateMs;
    this.#tickedAt = now;
    if (late <= 0) return;
    this.#heardAt = Math.min(now, this.#heardAt + late);
    this.#echoedAt = Math.min(now, this.#echoedAt + late);
  }

  linkUp(now: Millis): void {
    this.#link = { up: true };
    this.#heardAt = now;
    this.#echoedAt = now;
    this.#dialFailed = false;
    this.#beatAt = null;
  }

  linkDown(now: Millis): void {
    if (this.#link.up) this.#link = { up: false, since: now };
  }

  /** A dial for the broken connection came to nothing: the hint is confirmed. */
  dialFailed(): void {
    if (!this.#link.up) this.#dialFailed = true;
  }

  /** Any frame from the peer. */
  heard(now: Millis): void {
    this.#heardAt = now;
  }

  heardBeat(seq: number, echo: number): void {
    this.#peerSeq = Math.max(this.#peerSeq, seq);
    const echoed = this.#sent.shiftWhile((beat) => beat.seq <= echo);
    if (echoed !== undefined) this.#echoedAt = Math.max(this.#echoedAt, echoed.at);
    if (this.#probe !== null && echo >= this.#probe) this.#probe = null;
  }

  /**
   * This process stood still for so long: only an echo of a beat sent from now on shows that the peer still counts on us.
   * That time is not the peer's silence; what was listened to before it is, or a side that stalls again and again would
   * never notice that it is alone. The next tick need not make good for it once more.
   */
  ownStall(stalledMs: Millis): void {
    this.#probe = this.#seq + 1;
    this.#heardAt += stalledMs;
    this.#echoedAt += stalledMs;
    this.#tickedAt += stalledMs;
    this.#beatAt = null;
  }

  /** The next beat, if one is due. */
  beat(now: Millis): { readonly seq: number; readonly echo: number } | null {
    if (!this.#link.up) return null;
    if (this.#beatAt !== null && now - this.#beatAt < this.#limits.beatMs) return null;
    this.#beatAt = now;
    this.#seq += 1;
    this.#sent.push({ seq: this.#seq, at: now });
    // An older beat says nothing that counts any more: a peer this far behind is dead by then.
    this.#sent.shiftWhile((beat) => now - beat.at > this.#echoAgeMax() * 2);
    return { seq: this.#seq, echo: this.#peerSeq };
  }

  /** Why the peer counts as dead, or null. */
  judge(now: Millis): LossReason | null {
    if (!this.#link.up && this.#dialFailed) return 'lostConnection';
    if (!this.#link.up && now - this.#link.since > this.#limits.reconnectGraceMs) return 'lostConnection';
    if (now - this.#heardAt > this.#limits.deadAfterMs) return this.suspect ? 'ownStall' : 'silence';
    if (now - this.#echoedAt > this.#echoAgeMax()) return this.suspect ? 'ownStall' : 'notHeard';
    return null;
  }

  /** An echo is carried by the peer's next beat, so a healthy one is up to two beats old. */
  #echoAgeMax(): Millis {
    return this.#limits.deadAfterMs + 2 * this.#limits.beatMs;
  }
}
