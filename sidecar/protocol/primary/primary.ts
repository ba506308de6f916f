// SPDX-License-Identifier: Apache-2.0
import { judgeHello } from './admission.js';
import { Announcer } from './announcer.js';
import type { ColdStart } from '../config.js';
import type { Context, Role, Succession, Turn } from '../context.js';
import { end } from '../context.js';
import type { ProtocolEvent } from '../events.js';
import type { Frame, HelloFrame } from '../frames.js';
import { OutputGate } from './gate.js';
import { GuestSpeed } from '../speed/guest-speed.js';
import { Guests } from './guests.js';
import { Handover } from './handover.js';
import type { LeaseAnswer } from '../lease/messages.js';
import type { Outbox } from '../outbox.js';
import type { OwnershipNews } from '../lease/ownership.js';
import { Ownership } from '../lease/ownership.js';
import { Pulse } from './pulse.js';
import { primaryProtection } from '../protection.js';
import type { LossReason, OnPurposeReason } from '../reasons.js';
import { isOnPurpose } from '../reasons.js';
import { Standby } from './standby.js';
import type { Numbers, PrimaryPhase, Status } from '../status.js';
import { SwitchOff } from './switch-off.js';
import type { Term } from '../lease/tenure.js';
import type { Epoch, LinkId, Lsn, Millis } from '../types.js';

type OutputEvent = Extract<ProtocolEvent, { type: 'output' }>;
type DiskDoneEvent = Extract<ProtocolEvent, { type: 'diskDone' }>;
type ClonePointEvent = Extract<ProtocolEvent, { type: 'clonePoint' }>;

/**
 * The side whose engine records. Its life:
 *
 *   founding → alone → cloning → catchingUp → arming → protected → handingOver
 *                ↑________________________________________|  backup lost: claiming → won
 *
 * Backup lost before arm was asked: alone at once. After that: only the lease says. The same holds for a VM that is
 * switched off: a goodbye may be lost with its connection, and the backup would bring the VM back.
 */
export class Primary implements Role {
  readonly #context: Context;
  readonly #gate: OutputGate;
  readonly #speed: GuestSpeed;
  readonly #ownership: Ownership;
  readonly #guests: Guests;
  readonly #pulse: Pulse;
  readonly #announcer: Announcer;
  #phase: PrimaryPhase;
  #standby: Standby | null = null;
  #head: Lsn;
  #enabled = true;
  #attempts = 0;
  #reclaimed: Lsn = 0;
  #gateClosedAt: Lsn = 0;
  #handover: Handover | null = null;
  #switchOff: SwitchOff | null = null;
  #lastLoss: LossReason | null = null;
  #lastReleased = 0;

  private constructor(
    context: Context,
    ownership: Ownership,
    phase: PrimaryPhase,
    from: { head: Lsn; lastIndex: number },
  ) {
    const { limits, ringBytes } = context.config;
    this.#context = context;
    this.#ownership = ownership;
    this.#gate = new OutputGate(limits, from.lastIndex);
    this.#speed = new GuestSpeed(limits, ringBytes);
    this.#guests = new Guests(limits);
    this.#pulse = new Pulse(limits);
    this.#announcer = new Announcer(limits);
    this.#phase = phase;
    this.#head = from.head;
  }

  /** A recorder's first life: outputs wait until the lease says that this side owns the VM. */
  static found(context: Context, start: ColdStart, now: Millis, out: Outbox): Primary {
    const ownership = Ownership.found(context, start, now, out);
    return new Primary(context, ownership, 'founding', { head: 0, lastIndex: 0 });
  }

  /** A backup that went live: sole owner of the epoch it has won. */
  static succeed(context: Context, succession: Succession, now: Millis, out: Outbox): Primary {
    const { term, lastIndex } = succession;
    const primary = new Primary(context, Ownership.won(context, term, now), 'alone', succession);
    primary.#gate.setRule('owner');
    out.push({ type: 'retain', on: false });
    // The I/O side's queue holds what this engine made while it replayed and nobody is known to have sent.
    if (lastIndex > 0) out.push({ type: 'release', through: lastIndex, limit: { by: 'owner' } });
    out.push({ type: 'ingress' });
    primary.#announcer.begin(now, out);
    return primary;
  }

  stalled(stalledMs: Millis, now: Millis): void {
    this.#pulse.ownStall(stalledMs);
    this.#standby?.detector.ownStall(stalledMs);
    this.#switchOff?.ownStall(stalledMs);
    if (this.#phase === 'alone') this.#ownership.lookAgain(now);
  }

  handle(event: ProtocolEvent, now: Millis, out: Outbox): Turn | null {
    this.#speed.run(now);
    const turn = this.#dispatch(event, now, out) ?? this.#progress(now, out);
    if (turn !== null) this.#bow(turn, out);
    return turn;
  }

  status(): Status {
    const { nonce } = this.#context.config;
    const lease = this.#ownership.trouble;
    return {
      role: 'primary',
      phase: this.#phase,
      epoch: this.#ownership.epoch,
      nonce,
      peer: this.#standby?.nonce ?? null,
      protection: primaryProtection({
        phase: this.#phase,
        enabled: this.#enabled,
        rearming: this.#ownership.rearming,
        suspect: this.#standby?.detector.suspect ?? false,
        lastLoss: this.#lastLoss,
        lease,
      }),
      lease,
    };
  }

  numbers(now: Millis): Numbers {
    const standby = this.#standby;
    return {
      produced: this.#head,
      acked: standby?.received ?? 0,
      consumed: standby?.consumed ?? 0,
      lagMs: standby?.lag.lagMs(now) ?? 0,
      pacePermille: this.#speed.permille,
      heldOutputs: this.#gate.heldOutputs,
      heldBytes: this.#gate.heldBytes,
      keptDigests: standby?.digests.length ?? 0,
      retainedOutputs: 0,
      retainedBytes: 0,
      heardAgeMs: standby?.detector.heardAge(now) ?? 0,
    };
  }

  // ---- events ----

  #dispatch(event: ProtocolEvent, now: Millis, out: Outbox): Turn | null {
    switch (event.type) {
      case 'tick':
        return this.#tick(now, out);
      case 'accepted':
        this.#guests.enter(event.link, now, out);
        return null;
      case 'linkDown':
        this.#linkDown(event.link, now, out);
        return null;
      case 'frame':
        this.#frame(event.link, event.frame, now, out);
        return null;
      case 'leaseAnswer':
        return this.#leaseAnswer(event.id, event.answer, now, out);
      case 'produced':
        this.#produced(event.lsn, now);
        return null;
      case 'output':
        return this.#output(event, now);
      case 'clonePoint':
        this.#clonePoint(event, now, out);
        return null;
      case 'cloneFailed':
        this.#cloneFailed(event.attempt, event.detail, now, out);
        return null;
      case 'commandFailover':
        this.#failover(now, out);
        return null;
      case 'commandProtection':
        this.#protection(event.enabled, now, out);
        return null;
      case 'commandStop':
        return this.#switchedOff('userAction', 'stopped by command', now, out);
      case 'engineBeat':
        this.#pulse.felt(event.beat, now);
        return null;
      case 'engineFailed':
        return this.#switchOff === null ? end('engineFailed', event.detail) : null;
      case 'engineExited':
        return this.#switchedOff('vmNotRunning', 'the guest switched itself off', now, out);
      case 'cloneProgress':
        this.#cloningTo(event.attempt)?.preparation.sent(event.bytes, now);
        return null;
      case 'cloneSent':
        this.#cloningTo(event.attempt)?.preparation.step(now);
        return null;
      case 'diskDone':
        this.#diskDone(event, out);
        return null;
      case 'copyProgress':
        this.#copyingTo(event.attempt)?.preparation.copiedSome(event.bytes, now);
        return null;
      case 'copied':
        this.#copyingTo(event.attempt)?.preparation.finishCopy(now);
        return null;
      case 'copyFailed':
        this.#copyFailed(event.attempt, event.detail, now, out);
        return null;
      case 'dialled':
      case 'dialFailed':
      case 'loaded':
      case 'loadFailed':
      case 'received':
      case 'consumed':
      case 'logCorrupt':
      case 'live':
      case 'diskFailed':
        return null; // of the time before going live, or of no consequence
    }
  }

  #tick(now: Millis, out: Outbox): Turn | null {
    this.#ownership.tick(now, out);
    this.#guests.tick(now, out);
    this.#announcer.tick(now, out);
    if (this.#standby !== null) this.#tickStandby(this.#standby, now, out);
    if (this.#switchOff !== null) return this.#tickSwitchOff(this.#switchOff, now, out);
    // Only a backup that may win makes giving up better than waiting.
    if (this.#phase === 'protected' && this.#pulse.gone(now)) {
      return end('engineFailed', 'the engine shows no sign of life');
    }
    return null;
  }

  #tickStandby(standby: Standby, now: Millis, out: Outbox): void {
    standby.detector.tick(now);
    const beat = standby.detector.beat(now);
    if (beat !== null) out.send(standby.link, { type: 'beat', ...beat });
    standby.lag.sample(this.#head, now, this.#speed.guestMs);
    this.#speed.steer(standby, this.#phase === 'catchingUp' ? 'catchUp' : 'keepUp', this.#head, now);
    // A backup that was told to take over owes nobody a beat.
    const loss = this.#handover?.told === true ? null : standby.detector.judge(now);
    if (loss !== null) this.#lose(loss, `backup is gone: ${loss}`, now, out);
    else if (this.#handover !== null) this.#tickHandover(this.#handover, now, out);
    else this.#tickPreparation(standby, now, out);
  }

  #tickHandover(handover: Handover, now: Millis, out: Outbox): void {
    if (!handover.overdue(now)) return;
    if (handover.told) {
      this.#lose('handover', 'the backup did not take over in time', now, out);
      return;
    }
    this.#handover = null;
    this.#speed.hold('handover', false);
    this.#enter(
      'protected',
      out,
      'planned failover given up: the backup did not acknowledge all log in time',
    );
  }

  #tickPreparation({ preparation, consumed }: Standby, now: Millis, out: Outbox): void {
    if (this.#phase !== 'cloning' && this.#phase !== 'catchingUp') return;
    preparation.replayed(consumed, now);
    // Without a lease store nobody can be armed, however far it has come.
    if (this.#phase === 'catchingUp' && !this.#ownership.canPrepare(now)) preparation.step(now);
    const standstill = preparation.standstill(now);
    if (standstill !== null) this.#lose('cloneFailed', standstill, now, out);
  }

  #linkDown(link: LinkId, now: Millis, out: Outbox): void {
    this.#guests.leave(link);
    const standby = this.#standby;
    if (standby?.link !== link) return;
    standby.link = null;
    standby.detector.linkDown(now);
    if (!standby.loaded) this.#lose('lostConnection', 'the connection broke while cloning', now, out);
  }

  #produced(lsn: Lsn, now: Millis): void {
    if (lsn <= this.#head) return;
    this.#head = lsn;
    this.#standby?.lag.sample(lsn, now, this.#speed.guestMs);
  }

  #output(event: OutputEvent, now: Millis): Turn | null {
    this.#produced(event.head, now);
    this.#gate.put({ index: event.index, head: event.head, bytes: event.bytes });
    this.#standby?.digests.record(event.index, event.head, event.hash);
    // The guest is held at the bound. It runs on all the same: this cannot be made good any more.
    return this.#gate.overflowing ? end('overflow', 'outputs keep coming while the guest is held') : null;
  }

  // ---- frames ----

  #frame(link: LinkId, frame: Frame, now: Millis, out: Outbox): void {
    if (this.#guests.has(link)) {
      this.#guests.leave(link);
      if (frame.type === 'hello') this.#hello(link, frame, now, out);
      else out.push({ type: 'closeLink', link, reason: 'the first frame must be hello' });
      return;
    }
    const standby = this.#standby;
    if (standby?.link !== link) return; // of a connection that does not count any more
    standby.detector.heard(now);
    if (!this.#standbyFrame(standby, frame, now, out)) {
      this.#lose('violation', `the backup sent ${frame.type}, which cannot be right here`, now, out);
    }
  }

  /** False: the frame makes no sense. */
  #standbyFrame(standby: Standby, frame: Frame, now: Millis, out: Outbox): boolean {
    switch (frame.type) {
      case 'beat':
        standby.detector.heardBeat(frame.seq, frame.echo);
        return true;
      case 'ack':
        if (!standby.acknowledge(frame.received, frame.consumed, frame.compared)) return false;
        this.#acknowledged(frame.received, out);
        return true;
      case 'loaded':
        if (this.#phase !== 'cloning' || standby.received === null) return false;
        standby.preparation.finishLoading(now);
        this.#enter('catchingUp', out, 'the backup has loaded the clone and replays');
        return true;
      case 'prepared':
        return this.#ownership.promise(frame.epoch, frame.store);
      case 'barred':
        this.#lose(frame.reason, `the backup bars itself: ${frame.detail}`, now, out);
        return true;
      case 'goodbye':
        this.#lose(
          frame.reason === 'userAction' ? 'userAction' : 'lostConnection',
          'the backup leaves',
          now,
          out,
        );
        return true;
      case 'hello':
      case 'welcome':
      case 'refuse':
      case 'clonePoint':
      case 'digest':
      case 'released':
      case 'diskOutcome':
      case 'prepare':
      case 'armed':
      case 'handover':
        return false;
    }
  }

  #acknowledged(received: Lsn, out: Outbox): void {
    this.#gate.acknowledge(received);
    this.#standby?.outcomes.acknowledge(received);
    if (received <= this.#reclaimed) return;
    this.#reclaimed = received;
    out.push({ type: 'reclaim', below: received });
  }

  #hello(link: LinkId, hello: HelloFrame, now: Millis, out: Outbox): void {
    const { vm, nonce, identity } = this.#context.config;
    if (this.#switchOff !== null && hello.resume?.primary === nonce) {
      // The connection broke before the goodbye was there.
      out.send(link, { type: 'goodbye', reason: this.#switchOff.reason });
      out.push({ type: 'closeLink', link, reason: this.#switchOff.reason });
      return;
    }
    const standby = this.#standby;
    const refusal = judgeHello(hello, {
      vm,
      nonce,
      identity,
      enabled: this.#enabled,
      alone: this.#phase === 'alone',
      undecided: this.#phase === 'founding' || this.#phase === 'claiming',
      resumable: standby?.loaded === true ? standby.nonce : null,
    });
    if (refusal !== null) {
      out.send(link, { type: 'refuse', ...refusal });
      out.push({ type: 'closeLink', link, reason: refusal.reason });
      out.report('warn', refusal.reason, `backup ${hello.nonce} refused: ${refusal.detail}`);
    } else if (standby !== null && hello.resume !== null) {
      this.#resume(standby, link, hello.resume, now, out);
    } else {
      this.#startClone(link, hello, now, out);
    }
  }

  #resume(
    standby: Standby,
    link: LinkId,
    point: NonNullable<HelloFrame['resume']>,
    now: Millis,
    out: Outbox,
  ): void {
    if (standby.link !== null) out.push({ type: 'closeLink', link: standby.link, reason: 'replaced' });
    if (!standby.resume(point, link, now)) {
      out.send(link, {
        type: 'refuse',
        reason: 'resumeLost',
        detail: 'log asked for is not what was acknowledged',
      });
      out.push({ type: 'closeLink', link, reason: 'resumeLost' });
      this.#lose('violation', 'the backup resumes from where it cannot be', now, out);
      return;
    }
    out.send(link, { type: 'welcome', nonce: this.#context.config.nonce, resumeFrom: point.received });
    this.#acknowledged(point.received, out);
    standby.tellReleased(this.#lastReleased, out);
    for (const outcome of standby.outcomes.all()) out.send(link, { type: 'diskOutcome', ...outcome });
    // What the broken connection may have swallowed.
    for (const frame of this.#ownership.standingFrames()) out.send(link, frame);
    if (this.#handover?.told === true) out.send(link, { type: 'handover', reason: 'userAction' });
  }

  // ---- clone ----

  #startClone(link: LinkId, hello: HelloFrame, now: Millis, out: Outbox): void {
    this.#attempts += 1;
    const { limits, disks } = this.#context.config;
    this.#standby = new Standby(limits, hello, { link, attempt: this.#attempts, hasDisks: disks > 0 }, now);
    this.#reclaimed = 0;
    out.send(link, { type: 'welcome', nonce: this.#context.config.nonce, resumeFrom: null });
    out.push({ type: 'startClone', attempt: this.#attempts, link });
    this.#enter('cloning', out, `cloning to ${hello.nonce}`);
  }

  #clonePoint(event: ClonePointEvent, now: Millis, out: Outbox): void {
    const standby = this.#standby;
    if (standby?.attempt !== event.attempt) {
      // A clone given up before it came so far: its log is not wanted, and must not stop the guest.
      out.push({ type: 'retain', on: false });
      return;
    }
    if (standby.received !== null) return;
    standby.preparation.step(now);
    standby.clonePoint(event.lsn, event.frames);
    out.send(standby.link, { type: 'clonePoint', lsn: event.lsn });
    if (standby.link !== null && this.#context.config.disks > 0) {
      out.push({ type: 'copyDisks', attempt: event.attempt, link: standby.link });
    }
  }

  // ---- disks ----

  /** What the guest is about to hear, the backup hears first: then it is ahead of all log that comes of it. */
  #diskDone({ disk, id, k, error, written, head }: DiskDoneEvent, out: Outbox): void {
    const standby = this.#standby;
    if (k > 0 && standby !== null && standby.received !== null) {
      const outcome = { disk, k, error, written };
      standby.outcomes.tell(outcome, head);
      out.send(standby.link, { type: 'diskOutcome', ...outcome });
    }
    out.push({ type: 'diskAnswer', disk, id });
  }

  #copyFailed(attempt: number, detail: string, now: Millis, out: Outbox): void {
    if (this.#copyingTo(attempt) === null) return;
    this.#lose('cloneFailed', `the disks were not copied: ${detail}`, now, out);
  }

  /** The backup of this attempt, if it does not have the disks' images yet. */
  #copyingTo(attempt: number): Standby | null {
    const standby = this.#standby;
    return standby?.attempt === attempt && !standby.preparation.copied ? standby : null;
  }

  #cloneFailed(attempt: number, detail: string, now: Millis, out: Outbox): void {
    if (this.#cloningTo(attempt) !== null) this.#lose('cloneFailed', `clone failed: ${detail}`, now, out);
  }

  /** The backup of this attempt, if it still loads. */
  #cloningTo(attempt: number): Standby | null {
    const standby = this.#standby;
    return standby?.attempt === attempt && !standby.loaded ? standby : null;
  }

  // ---- lease ----

  #leaseAnswer(id: number, answer: LeaseAnswer, now: Millis, out: Outbox): Turn | null {
    const armable = this.#phase === 'protected' || this.#phase === 'arming';
    const backup = armable ? (this.#standby?.nonce ?? null) : null;
    const news = this.#ownership.answer(id, answer, backup, now, out);
    return news === null ? null : this.#ownershipNews(news, now, out);
  }

  #ownershipNews(news: OwnershipNews, now: Millis, out: Outbox): Turn | null {
    switch (news.type) {
      case 'founded':
        // Switches may still know the guest behind the host on which it ran before.
        this.#announcer.begin(now, out);
        this.#becomeAlone(`owner of epoch ${news.epoch}`, out);
        return null;
      case 'foundRefused':
        return end('leaseRefused', news.detail);
      case 'armed':
        this.#armed(news.term.epoch, out);
        return null;
      case 'armRefused':
        if (this.#phase === 'arming') this.#backToCatchingUp(now, out);
        return null;
      case 'rearm':
        out.report('warn', 'rearming', `the lease store is not what it was; arming epoch ${news.term.epoch}`);
        this.#askPromise(news.term, out);
        return null;
      case 'won':
      case 'sole':
        this.#becomeAlone('the lease is ours', out);
        return this.#switchOff === null ? null : this.#leave(this.#switchOff, out);
      case 'lost':
        if (this.#switchOff === null) return end('leaseLost', 'the other side has won the lease');
        return end(
          'leaseLost',
          `${this.#switchOff.detail}, too late: the VM runs on at the backup, which has won`,
        );
      case 'superseded':
        return end('superseded', 'the lease shows another owner');
    }
  }

  #armed(epoch: Epoch, out: Outbox): void {
    out.send(this.#standby?.link ?? null, { type: 'armed', epoch });
    if (this.#phase === 'arming') this.#enter('protected', out, `protected in epoch ${epoch}`);
    else out.report('info', 'rearmed', `armed anew, epoch ${epoch}`);
  }

  #askPromise(term: Term, out: Outbox): void {
    out.send(this.#standby?.link ?? null, { type: 'prepare', epoch: term.epoch, store: term.store });
  }

  // ---- commands ----

  #failover(now: Millis, out: Outbox): void {
    if (
      this.#phase !== 'protected' ||
      !this.#ownership.settled ||
      this.#standby?.detector.suspect !== false
    ) {
      out.report('warn', 'notProtected', 'no planned failover: the VM is not protected now');
      return;
    }
    this.#handover = new Handover(this.#context.config.limits, now);
    this.#speed.hold('handover', true);
    this.#enter('handingOver', out, 'planned failover: holding the guest');
  }

  #protection(enabled: boolean, now: Millis, out: Outbox): void {
    this.#enabled = enabled;
    if (enabled || this.#standby === null) return;
    out.send(this.#standby.link, { type: 'goodbye', reason: 'userAction' });
    this.#lose('userAction', 'protection switched off', now, out);
  }

  // ---- steps that follow by themselves ----

  #progress(now: Millis, out: Outbox): Turn | null {
    const standby = this.#standby;
    if (standby !== null) {
      standby.pump(this.#head, out);
      this.#stepArming(standby, now, out);
      this.#stepHandover(standby, now, out);
      this.#holdForDigests(standby, now, out);
    }
    this.#gate.suspend(this.#gate.rule === 'ack' && this.#standby?.detector.suspect === true);
    this.#flush(out);
    this.#speed.hold('outputsFull', this.#gate.full);
    this.#speed.tell(out);
    return null;
  }

  #stepArming(standby: Standby, now: Millis, out: Outbox): void {
    if (this.#phase === 'catchingUp') this.#closeGate(standby, now, out);
    const { received } = standby;
    const covered = received !== null && received >= this.#gateClosedAt;
    if (covered && this.#ownership.mayArm) this.#ownership.arm(now, out);
  }

  /** Caught up, and the store can be used: from here on every output waits for the backup. */
  #closeGate(standby: Standby, now: Millis, out: Outbox): void {
    const { received } = standby;
    if (received === null || standby.link === null || standby.detector.suspect) return;
    if (!standby.preparation.copied) return;
    if (standby.lag.lagMs(now) >= this.#context.config.limits.lagNoteMs) return;
    const term = this.#ownership.prepare(standby.nonce, now);
    if (term === null) return;
    this.#gateClosedAt = this.#head;
    this.#gate.setRule('ack', received);
    this.#askPromise(term, out);
    this.#announcer.end();
    this.#enter('arming', out, `the backup has caught up; arming epoch ${term.epoch}`);
  }

  #backToCatchingUp(now: Millis, out: Outbox): void {
    this.#gate.setRule('owner');
    this.#standby?.preparation.step(now);
    this.#enter('catchingUp', out, 'arming again when the lease store can be used');
  }

  #stepHandover(standby: Standby, now: Millis, out: Outbox): void {
    const handover = this.#handover;
    if (handover?.settled(now) !== true || standby.link === null) return;
    if ((standby.received ?? 0) < this.#head || this.#gate.heldOutputs > 0) return;
    handover.tell(now);
    out.send(standby.link, { type: 'handover', reason: 'userAction' });
  }

  #holdForDigests(standby: Standby, now: Millis, out: Outbox): void {
    this.#speed.hold('digestsFull', standby.digests.full);
    if (standby.digests.overflowing)
      this.#lose('overflow', 'too many outputs that the backup has not compared', now, out);
  }

  #flush(out: Outbox): void {
    const release = this.#gate.release();
    if (release === null) return;
    this.#lastReleased = release.through;
    out.push({ type: 'release', ...release });
    this.#standby?.tellReleased(release.through, out);
  }

  // ---- endings ----

  /** The backup is gone or dismissed. What that means, the lease knows if anybody could have won it. */
  #lose(reason: LossReason, message: string, now: Millis, out: Outbox): void {
    const standby = this.#standby;
    if (standby === null) return;
    this.#standby = null;
    this.#handover = null;
    this.#lastLoss = reason;
    if (standby.link !== null) out.push({ type: 'closeLink', link: standby.link, reason });
    if (!standby.loaded) out.push({ type: 'abortClone', attempt: standby.attempt });
    if (this.#context.config.disks > 0) out.push({ type: 'endCopy' });
    out.push({ type: 'retain', on: false });
    this.#speed.setFree();
    out.report('warn', reason, message);
    if (this.#ownership.takeBack(now, out) === 'sole') {
      this.#becomeAlone(`going on alone: ${message}`, out);
      return;
    }
    this.#gate.setRule('nobody');
    this.#enter('claiming', out, 'outputs wait until the lease says who goes on');
  }

  #becomeAlone(message: string, out: Outbox): void {
    this.#gate.setRule('owner');
    this.#enter('alone', out, message);
  }

  #enter(phase: PrimaryPhase, out: Outbox, message: string): void {
    this.#phase = phase;
    out.report('info', phase, message);
  }

  /** Nothing is left to settle when no backup may win: a claim, if one is needed, comes before the end. */
  #switchedOff(reason: OnPurposeReason, detail: string, now: Millis, out: Outbox): Turn | null {
    if (this.#switchOff !== null) return null;
    if (!this.#ownership.backupMayWin) return end(reason, detail);
    this.#switchOff = new SwitchOff(this.#context.config.limits, reason, detail, now);
    // The quick way for the backup, if it comes through. Nothing rests on it.
    out.send(this.#standby?.link ?? null, { type: 'goodbye', reason });
    this.#lose(reason, `${detail}; claiming, so that nobody brings the VM back`, now, out);
    this.#speed.hold('switchOff', true);
    return null;
  }

  #tickSwitchOff(switchOff: SwitchOff, now: Millis, out: Outbox): Turn | null {
    if (!switchOff.overdue(now)) return null;
    out.report(
      'error',
      'unclaimed',
      'no answer from the lease store: if the backup is not told to end either, it brings the VM back',
    );
    return end(switchOff.reason, switchOff.detail);
  }

  /** Sole owner: what the guest sent last may still leave. */
  #leave(switchOff: SwitchOff, out: Outbox): Turn {
    this.#flush(out);
    return end(switchOff.reason, switchOff.detail);
  }

  /** Last words to the backup. */
  #bow(turn: Turn, out: Outbox): void {
    const standby = this.#standby;
    if (turn.type !== 'end' || standby === null) return;
    if (isOnPurpose(turn.reason)) {
      out.send(standby.link, { type: 'goodbye', reason: turn.reason });
    } else if (this.#ownership.backupMayWin) {
      out.send(standby.link, { type: 'handover', reason: 'engineFailed' });
    }
  }
}
