// SPDX-License-Identifier: Apache-2.0
import { isTemporary } from '../primary/admission.js';
import type { Context, Role, Turn } from '../context.js';
import { end } from '../context.js';
import { Detector } from '../detector.js';
import type { ProtocolEvent } from '../events.js';
import type { Frame } from '../frames.js';
import { PROTOCOL_VERSION } from '../frames.js';
import { invariant } from '../invariant.js';
import { LeaseDesk } from '../lease/desk.js';
import type { LeaseAnswer } from '../lease/messages.js';
import type { Outbox } from '../outbox.js';
import { backupProtection } from '../protection.js';
import type { BarReason, LossReason, RefuseReason } from '../reasons.js';
import { Replay } from './replay.js';
import type { BackupPhase, Numbers, Status } from '../status.js';
import type { Term } from '../lease/tenure.js';
import type { LinkId, Lsn, Millis, Nonce } from '../types.js';

/**
 * The side whose engine replays. Its life:
 *
 *   joining → loading → following → armed → claiming → goingLive → (primary)
 *
 * It may claim only for the epoch it has promised itself to (`prepare`); one that was never asked to is never
 * promoted. Once a claim has begun there is no way back: no acknowledgement, no promise, no connection.
 */
export class Backup implements Role {
  readonly #context: Context;
  readonly #desk: LeaseDesk;
  #phase: BackupPhase = 'joining';
  #link: LinkId | null = null;
  #dialling = false;
  #dialAt: Millis;
  readonly #since: Millis;
  #primary: Nonce | null = null;
  #detector: Detector | null = null;
  #replay: Replay | null = null;
  #promise: Term | null = null;
  #armedEpoch = 0;
  #claimedAt: Millis = 0;
  #won = false;
  #engineLoaded = false;
  /** The disks' images are here; nothing to copy counts. */
  #copied: boolean;
  /** Where the engine went live. */
  #liveAt: Lsn | null = null;
  #lastIndex = 0;
  /** Outputs of this engine that came before it replayed anything. */
  #outputsBefore = 0;
  #lastLoss: LossReason | null = null;

  constructor(context: Context, now: Millis, out: Outbox) {
    this.#context = context;
    this.#desk = new LeaseDesk(context.config.limits, context.ids);
    this.#since = now;
    this.#copied = context.config.disks === 0;
    this.#dialAt = now;
    this.#dial(now, out);
  }

  stalled(stalledMs: Millis): void {
    this.#detector?.ownStall(stalledMs);
    this.#replay?.stalled(stalledMs);
  }

  handle(event: ProtocolEvent, now: Millis, out: Outbox): Turn | null {
    const turn = this.#dispatch(event, now, out) ?? this.#takeOver();
    if (turn !== null) return turn;
    const drop = this.#replay?.outputs.drop() ?? null;
    if (drop !== null) out.push({ type: 'drop', through: this.#outputsBefore + drop });
    return null;
  }

  status(): Status {
    return {
      role: 'backup',
      phase: this.#phase,
      epoch: this.#promise?.epoch ?? 0,
      nonce: this.#context.config.nonce,
      peer: this.#primary,
      protection: backupProtection(this.#phase, this.#lastLoss),
      lease: this.#desk.trouble,
    };
  }

  numbers(now: Millis): Numbers {
    return {
      produced: this.#replay?.received ?? 0,
      acked: this.#replay?.acked ?? 0,
      consumed: this.#replay?.consumed ?? 0,
      lagMs: 0,
      pacePermille: 0,
      heldOutputs: 0,
      heldBytes: 0,
      keptDigests: 0,
      retainedOutputs: this.#replay?.outputs.retained ?? 0,
      retainedBytes: this.#replay?.outputs.bytes ?? 0,
      heardAgeMs: this.#detector?.heardAge(now) ?? 0,
    };
  }

  // ---- events ----

  #dispatch(event: ProtocolEvent, now: Millis, out: Outbox): Turn | null {
    switch (event.type) {
      case 'tick':
        return this.#tick(now, out);
      case 'dialled':
        this.#dialled(event.link, now, out);
        return null;
      case 'dialFailed':
        this.#dialling = false;
        this.#dialAt = now + this.#context.config.limits.dialRetryMs;
        this.#detector?.dialFailed();
        return this.#judgePeer(now, out);
      case 'accepted':
        out.send(event.link, { type: 'refuse', reason: 'notOwner', detail: 'this side is a backup' });
        out.push({ type: 'closeLink', link: event.link, reason: 'notOwner' });
        return null;
      case 'linkDown':
        return this.#linkDown(event.link, now, out);
      case 'frame':
        return event.link === this.#link ? this.#frame(event.frame, now, out) : null;
      case 'leaseAnswer':
        return this.#leaseAnswer(event.id, event.answer, now, out);
      case 'received':
        this.#received(event.link, event.lsn, event.end, now, out);
        return null;
      case 'consumed':
        this.#replay?.advance(event.lsn);
        return null;
      case 'output':
        return this.#output(event.index, event.hash, event.bytes, out);
      case 'loaded':
        this.#engineLoaded = true;
        this.#follow(now, out);
        return null;
      case 'loadFailed':
        return this.#bar('loadFailed', event.detail, out);
      case 'logCorrupt':
        return event.link === this.#link ? this.#bar('logCorrupt', event.detail, out) : null;
      case 'diskDone':
        out.push({ type: 'diskAnswer', disk: event.disk, id: event.id });
        return null;
      case 'copied':
        this.#copied = true;
        this.#replay?.begins(now); // until now it may have waited for a block
        return null;
      case 'copyFailed':
        return this.#copied ? null : end('cloneFailed', `the disks were not copied: ${event.detail}`);
      case 'diskFailed':
        return this.#bar('diskFailed', event.detail, out);
      case 'live':
        return this.#live(event.lsn);
      case 'engineFailed':
        return this.#bar('engineFailed', event.detail, out);
      case 'engineExited':
        return end('vmNotRunning', 'the guest switched itself off');
      case 'commandStop':
        out.send(this.#link, { type: 'goodbye', reason: 'userAction' });
        return end('userAction', 'stopped by command');
      case 'commandFailover':
      case 'commandProtection':
        out.report('warn', 'notOwner', 'this side is the backup: ask the primary');
        return null;
      case 'engineBeat': // what a replaying engine does shows in `consumed`
      case 'produced':
      case 'clonePoint':
      case 'cloneProgress':
      case 'cloneSent':
      case 'cloneFailed':
      case 'copyProgress':
        return null; // of an engine that records, or of no use
    }
  }

  #tick(now: Millis, out: Outbox): Turn | null {
    this.#desk.tick(now, out);
    this.#detector?.tick(now);
    const turn = this.#judgePeer(now, out) ?? this.#judgeReplay(now, out) ?? this.#judgePatience(now);
    if (turn !== null) return turn;
    if (this.#link === null && !this.claiming && now >= this.#dialAt) this.#dial(now, out);
    const beat = this.#link === null ? null : (this.#detector?.beat(now) ?? null);
    if (beat !== null) {
      out.send(this.#link, { type: 'beat', ...beat });
      this.#acknowledge(out);
    }
    return null;
  }

  /** A claim has begun: nothing that was promised to the primary is ever added to. */
  get claiming(): boolean {
    return this.#phase === 'claiming' || this.#phase === 'goingLive';
  }

  #judgePeer(now: Millis, out: Outbox): Turn | null {
    if (this.claiming || this.#detector === null) return null;
    const loss = this.#detector.judge(now);
    return loss === null ? null : this.#peerLost(loss, now, out);
  }

  #judgeReplay(now: Millis, out: Outbox): Turn | null {
    if (!this.#copied) return null; // it may wait for a block of a disk; the primary sees to it that the copy gets on
    if (this.#phase === 'loading') return null; // log comes already, and is replayed only when all memory is there
    const waits = this.#phase === 'claiming'; // nothing comes any more, for as long as the lease has no answer
    const stuck = waits ? this.#replay?.stuckAtEnd(now) : this.#replay?.stuck(this.#won, now);
    if (stuck !== true) return null;
    if (this.#won) return end('stuckAfterWin', 'the engine neither replays what is left nor goes live');
    return this.#bar('stuck', 'the engine replays nothing although it has log', out);
  }

  #judgePatience(now: Millis): Turn | null {
    const { joinGiveUpMs, neverArmedMs } = this.#context.config.limits;
    if (this.#phase === 'joining' && now - this.#since > joinGiveUpMs) {
      return end('noPrimary', 'no primary has accepted this backup');
    }
    const neverArmed = this.#desk.trouble === 'epochLower' && this.#armedEpoch === 0;
    if (this.#phase === 'claiming' && neverArmed && now - this.#claimedAt > neverArmedMs) {
      return end('neverArmed', 'the primary is gone and has never armed this backup');
    }
    return null;
  }

  // ---- connection ----

  #dial(now: Millis, out: Outbox): void {
    if (this.#dialling) return;
    this.#dialling = true;
    this.#dialAt = now;
    out.push({ type: 'dial' });
  }

  #dialled(link: LinkId, now: Millis, out: Outbox): void {
    this.#dialling = false;
    if (this.claiming || this.#link !== null) {
      out.push({ type: 'closeLink', link, reason: 'not wanted any more' });
      return;
    }
    const { vm, nonce, identity, ringBytes } = this.#context.config;
    this.#link = link;
    const resume =
      this.#replay === null || this.#primary === null ? null : this.#replay.resumePoint(this.#primary);
    out.send(link, { type: 'hello', protocol: PROTOCOL_VERSION, vm, nonce, identity, ringBytes, resume });
    this.#dialAt = now + this.#context.config.limits.dialRetryMs;
  }

  #linkDown(link: LinkId, now: Millis, out: Outbox): Turn | null {
    if (link !== this.#link) return null;
    this.#link = null;
    if (this.#phase === 'joining') return null;
    if (this.#phase === 'loading') return end('cloneFailed', 'the connection broke while cloning');
    this.#detector?.linkDown(now);
    this.#dial(now, out);
    return null;
  }

  /** The primary is gone. Only a promise gives a backup anything to claim. */
  #peerLost(loss: LossReason, now: Millis, out: Outbox): Turn | null {
    this.#lastLoss = loss;
    out.report('warn', loss, `primary is gone: ${loss}`);
    if (this.#promise === null)
      return end('lostConnection', 'the primary is gone, and this clone was never armed');
    this.#claim(this.#promise, now, out);
    return null;
  }

  // ---- frames ----

  #frame(frame: Frame, now: Millis, out: Outbox): Turn | null {
    this.#detector?.heard(now);
    switch (frame.type) {
      case 'welcome':
        return this.#welcome(frame.nonce, frame.resumeFrom, now, out);
      case 'refuse':
        return this.#refused(frame.reason, frame.detail, now, out);
      case 'clonePoint':
        return this.#clonePoint(frame.lsn, now, out);
      case 'beat':
        this.#detector?.heardBeat(frame.seq, frame.echo);
        return null;
      case 'digest':
        return this.#compare(this.#replay?.digest(frame.n, frame.lsn, frame.hash) ?? 'divergence', out);
      case 'released':
        this.#replay?.outputs.released(frame.n);
        return null;
      case 'diskOutcome':
        if (this.#replay === null) return this.#peerLost('violation', now, out);
        out.push({ ...frame });
        return null;
      case 'prepare':
        return this.#prepare({ epoch: frame.epoch, store: frame.store }, out);
      case 'armed':
        this.#armed(frame.epoch, out);
        return null;
      case 'handover':
        return this.#peerLost('handover', now, out);
      case 'goodbye':
        return end(frame.reason, 'the primary says goodbye');
      case 'hello':
      case 'loaded':
      case 'ack':
      case 'prepared':
      case 'barred':
        return this.#peerLost('violation', now, out);
    }
  }

  #welcome(primary: Nonce, resumeFrom: Lsn | null, now: Millis, out: Outbox): Turn | null {
    if (this.#phase === 'joining' && resumeFrom === null && this.#link !== null) {
      this.#primary = primary;
      this.#detector = new Detector(this.#context.config.limits, now);
      out.push({ type: 'receiveClone', link: this.#link });
      this.#enter('loading', out, `accepted by ${primary}`);
      return null;
    }
    if (this.#replay === null || resumeFrom !== this.#replay.received || primary !== this.#primary) {
      return this.#peerLost('violation', now, out);
    }
    this.#detector?.linkUp(now);
    out.report('info', 'resumed', 'connection to the primary stands again');
    return null;
  }

  #refused(reason: RefuseReason, detail: string, now: Millis, out: Outbox): Turn | null {
    out.report('warn', reason, `the primary refuses: ${detail}`);
    if (this.#phase !== 'joining') return this.#peerLost('lostConnection', now, out);
    if (!isTemporary(reason)) return end('refused', `${reason}: ${detail}`);
    if (this.#link !== null) out.push({ type: 'closeLink', link: this.#link, reason });
    this.#link = null;
    return null;
  }

  #clonePoint(lsn: Lsn, now: Millis, out: Outbox): Turn | null {
    if (this.#phase !== 'loading' || this.#replay !== null) return this.#peerLost('violation', now, out);
    this.#replay = new Replay(this.#context.config.limits, lsn, now);
    out.push({ type: 'logFrom', lsn });
    this.#follow(now, out);
    return null;
  }

  /** The promise: from here on this backup claims for that epoch only. */
  #prepare(term: Term, out: Outbox): Turn | null {
    invariant(!this.claiming, 'frames end when a claim begins');
    if (!this.#copied || (this.#phase !== 'following' && this.#phase !== 'armed'))
      return end('cloneFailed', 'prepare before load');
    if (this.#promise === null || term.epoch > this.#promise.epoch) this.#promise = term;
    const { epoch, store } = this.#promise;
    out.send(this.#link, { type: 'prepared', epoch, store });
    return null;
  }

  #armed(epoch: number, out: Outbox): void {
    if (this.#promise?.epoch !== epoch || this.#armedEpoch === epoch) return;
    this.#armedEpoch = epoch;
    this.#enter('armed', out, `protecting in epoch ${epoch}`);
  }

  // ---- replay ----

  /** The clone comes on a connection of its own: it may be loaded before its position is known here. */
  #follow(now: Millis, out: Outbox): void {
    if (this.#phase !== 'loading' || this.#replay === null || !this.#engineLoaded) return;
    this.#replay.begins(now);
    out.send(this.#link, { type: 'loaded' });
    this.#enter('following', out, 'the clone is loaded');
  }

  #received(link: LinkId, lsn: Lsn, eventEnds: boolean, now: Millis, out: Outbox): void {
    if (link !== this.#link || this.#replay === null) return;
    this.#detector?.heard(now);
    this.#replay.receive(lsn, eventEnds);
    this.#acknowledge(out);
  }

  /** Never once a claim has begun, and never while the primary may have given this side up. */
  #acknowledge(out: Outbox): void {
    if (this.claiming || this.#replay === null || this.#detector?.suspect !== false) return;
    out.send(this.#link, this.#replay.acknowledge());
  }

  #output(index: number, hash: string, bytes: number, out: Outbox): Turn | null {
    this.#lastIndex = index;
    if (this.#replay === null) {
      // Of the made-up machine that waits for its clone: nobody's output.
      this.#outputsBefore = index;
      out.push({ type: 'drop', through: index });
      return null;
    }
    return this.#compare(this.#replay.outputs.output(hash, bytes), out);
  }

  #compare(result: 'fine' | 'divergence' | 'overflow', out: Outbox): Turn | null {
    if (result === 'fine') return null;
    // Once a claim has begun nobody tells any more what has left, and what comes is finite: the rest of the log.
    if (result === 'overflow' && this.claiming) return null;
    const detail =
      result === 'divergence' ? 'an output differs from the primary' : 'too many outputs retained';
    return this.#bar(result, detail, out);
  }

  /** This side can never go live: it says so, and leaves without a claim (or without using one). */
  #bar(reason: BarReason, detail: string, out: Outbox): Turn {
    out.send(this.#link, { type: 'barred', reason, detail });
    return end(reason, detail);
  }

  // ---- going live ----

  #claim(term: Term, now: Millis, out: Outbox): void {
    this.#claimedAt = now;
    if (this.#link !== null) out.push({ type: 'closeLink', link: this.#link, reason: 'claiming' });
    this.#link = null;
    this.#enter('claiming', out, `claiming epoch ${term.epoch}`);
    this.#desk.ask({ op: 'claim', ...term, nonce: this.#context.config.nonce }, now, out);
  }

  #leaseAnswer(id: number, raw: LeaseAnswer, now: Millis, out: Outbox): Turn | null {
    const answer = this.#desk.answer(id, raw, now);
    if (answer?.op !== 'claim') return null;
    this.#desk.drop();
    if (answer.result === 'lost') return end('leaseLost', 'the primary has won the lease');
    this.#won = true;
    this.#replay?.begins(now);
    out.push({ type: 'promote' });
    this.#enter('goingLive', out, 'the lease is ours; replaying what is left');
    return null;
  }

  #live(lsn: Lsn): Turn | null {
    const term = this.#promise;
    if (!this.#won || term === null || this.#replay === null)
      return end('broken', 'live without a won lease');
    if (lsn < this.#replay.floor) {
      return end('replayShort', `live at ${lsn}, but all below ${this.#replay.floor} was acknowledged`);
    }
    this.#liveAt = lsn;
    return null;
  }

  /**
   * The engine is live. Outputs of its last stretch of replay may still be on their way here: those that the
   * primary told of are compared first.
   */
  #takeOver(): Turn | null {
    const term = this.#promise;
    if (this.#liveAt === null || term === null || this.#replay?.outputs.owes(this.#liveAt) !== false)
      return null;
    return { type: 'succeed', succession: { term, head: this.#liveAt, lastIndex: this.#lastIndex } };
  }

  #enter(phase: BackupPhase, out: Outbox, message: string): void {
    this.#phase = phase;
    out.report('info', phase, message);
  }
}
