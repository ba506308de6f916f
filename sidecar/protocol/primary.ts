// SPDX-License-Identifier: Apache-2.0
import { judgeHello } from './admission.js';
import type { ColdStart } from './config.js';
import type { Context, Role, Succession, Turn } from './context.js';
import { end } from './context.js';
import type { ProtocolEvent } from './events.js';
import type { Frame, HelloFrame } from './frames.js';
import { OutputGate } from './gate.js';
import { GuestClock } from './guest-clock.js';
import { Guests } from './guests.js';
import { LeaseDesk } from './lease.js';
import type { LeaseAnswer } from './lease-messages.js';
import type { Sight } from './lease-watch.js';
import { LeaseWatch, storeName } from './lease-watch.js';
import type { Outbox } from './outbox.js';
import { Pace } from './pace.js';
import { Pulse } from './pulse.js';
import { primaryProtection } from './protection.js';
import type { LossReason } from './reasons.js';
import { Standby } from './standby.js';
import type { Numbers, PrimaryPhase, Status } from './status.js';
import type { TenureNews } from './tenure.js';
import { Tenure } from './tenure.js';
import type { LinkId, Lsn, Millis } from './types.js';

type OutputEvent = Extract<ProtocolEvent, { type: 'output' }>;
type ClonePointEvent = Extract<ProtocolEvent, { type: 'clonePoint' }>;

interface Handover {
  readonly since: Millis;
  sentAt: Millis | null;
}

/** The VM is switched off on purpose; this side ends once nobody else can win the lease. */
interface SwitchOff {
  readonly reason: 'userAction' | 'vmNotRunning';
  readonly detail: string;
  since: Millis;
}

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
  readonly #pace: Pace;
  readonly #guestClock = new GuestClock();
  readonly #desk: LeaseDesk;
  readonly #watch: LeaseWatch;
  readonly #guests: Guests;
  readonly #pulse: Pulse;
  #phase: PrimaryPhase;
  #tenure: Tenure | null = null;
  #standby: Standby | null = null;
  #head: Lsn;
  #enabled = true;
  #attempts = 0;
  #paceSent = 0;
  #reclaimed: Lsn = 0;
  #gateClosedAt: Lsn = 0;
  #progressSince: Millis = 0;
  #handover: Handover | null = null;
  #switchOff: SwitchOff | null = null;
  #lastLoss: LossReason | null = null;
  #lastReleased = 0;
  /** Whether the epoch asked for is armed cannot be found out: arm another one. */
  #doubt = false;

  private constructor(context: Context, phase: PrimaryPhase, head: Lsn, lastIndex: number) {
    const { limits, nonce } = context.config;
    this.#context = context;
    this.#gate = new OutputGate(limits, lastIndex);
    this.#pace = new Pace(limits);
    this.#desk = new LeaseDesk(limits, context.ids);
    this.#watch = new LeaseWatch(limits, new LeaseDesk(limits, context.ids), nonce);
    this.#guests = new Guests(limits);
    this.#pulse = new Pulse(limits);
    this.#phase = phase;
    this.#head = head;
  }

  /** A recorder's first life: outputs wait until the lease says that this side owns the VM. */
  static found(context: Context, start: ColdStart, now: Millis, out: Outbox): Primary {
    const primary = new Primary(context, 'founding', 0, 0);
    const { nonce } = context.config;
    const request =
      start.kind === 'found'
        ? ({ op: 'found', store: storeName(nonce, 0), nonce } as const)
        : ({ op: 'refound', expectEpoch: start.expectEpoch, nonce } as const);
    primary.#desk.ask(request, now, out);
    return primary;
  }

  /** A backup that went live: sole owner of the epoch it has won. */
  static succeed(context: Context, succession: Succession, now: Millis, out: Outbox): Primary {
    const { term, head, lastIndex } = succession;
    const primary = new Primary(context, 'alone', head, lastIndex);
    primary.#tenure = new Tenure(context.config.nonce, primary.#desk, term);
    primary.#gate.setRule('owner');
    primary.#watch.restart(now);
    out.push({ type: 'retain', on: false });
    // The I/O side's queue holds what this engine made while it replayed and nobody is known to have sent.
    if (lastIndex > 0) out.push({ type: 'release', through: lastIndex, limit: { by: 'owner' } });
    out.push({ type: 'ingress' });
    out.push({ type: 'announce' });
    return primary;
  }

  stalled(stalledMs: Millis, now: Millis): void {
    this.#pulse.ownStall(stalledMs);
    this.#standby?.detector.ownStall(stalledMs);
    if (this.#switchOff !== null) this.#switchOff.since += stalledMs; // the answer may lie here unread
    if (this.#phase === 'alone') this.#watch.restart(now);
  }

  handle(event: ProtocolEvent, now: Millis, out: Outbox): Turn | null {
    this.#guestClock.run(now, this.#paceSent);
    const turn = this.#dispatch(event, now, out) ?? this.#progress(now, out);
    if (turn !== null) this.#bow(turn, out);
    return turn;
  }

  status(): Status {
    const { nonce } = this.#context.config;
    const lease = this.#desk.trouble ?? this.#watch.trouble;
    return {
      role: 'primary',
      phase: this.#phase,
      epoch: this.#tenure?.term.epoch ?? 0,
      nonce,
      peer: this.#standby?.nonce ?? null,
      protection: primaryProtection({
        phase: this.#phase,
        enabled: this.#enabled,
        rearming: this.#tenure?.armed === true && this.#tenure.moving,
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
      pacePermille: this.#paceSent,
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
        return this.#switchedOff(
          { reason: 'userAction', detail: 'stopped by command', since: now },
          now,
          out,
        );
      case 'engineBeat':
        this.#pulse.felt(event.beat, now);
        return null;
      case 'engineFailed':
        return this.#switchOff === null ? end('engineFailed', event.detail) : null;
      case 'engineExited':
        return this.#switchedOff(
          { reason: 'vmNotRunning', detail: 'the guest switched itself off', since: now },
          now,
          out,
        );
      case 'cloneProgress':
        this.#cloneProgress(event.attempt, event.bytes, now);
        return null;
      case 'cloneSent':
        this.#cloneSent(event.attempt, now);
        return null;
      case 'dialled':
      case 'dialFailed':
      case 'loaded':
      case 'loadFailed':
      case 'received':
      case 'consumed':
      case 'logCorrupt':
      case 'live':
        return null; // of the time before going live, or of no consequence
    }
  }

  #tick(now: Millis, out: Outbox): Turn | null {
    this.#desk.tick(now, out);
    if (this.#tenure !== null) this.#watch.tick(now, out);
    this.#guests.tick(now, out);
    if (this.#standby !== null) this.#tickStandby(this.#standby, now, out);
    if (this.#switchOff !== null) return this.#tickSwitchOff(this.#switchOff, now, out);
    // Only a backup that may win makes giving up better than waiting.
    if (this.#phase === 'protected' && this.#pulse.gone(now)) {
      return end('engineFailed', 'the engine shows no sign of life');
    }
    return null;
  }

  #tickStandby(standby: Standby, now: Millis, out: Outbox): void {
    const { limits, ringBytes } = this.#context.config;
    standby.detector.tick(now);
    const beat = standby.detector.beat(now);
    if (beat !== null) out.send(standby.link, { type: 'beat', ...beat });
    const guestMs = this.#guestClock.ms;
    standby.lag.sample(this.#head, now, guestMs);
    this.#pace.room(standby.usedShare(this.#head, ringBytes));
    if (standby.loaded) {
      const goal = this.#phase === 'catchingUp' ? 'catchUp' : 'keepUp';
      this.#pace.steer(goal, standby.lag.lagMs(now), standby.lag.replayedMs(guestMs), now);
    }
    const leaving = this.#handover?.sentAt ?? null;
    const loss = leaving === null ? standby.detector.judge(now) : null;
    if (loss !== null) this.#lose(loss, `backup is gone: ${loss}`, now, out);
    else if (leaving !== null && now - leaving > limits.handoverWaitMs) {
      this.#lose('handover', 'the backup did not take over in time', now, out);
    } else this.#tickPatience(standby, now, out);
  }

  /** Waits that have an end. */
  #tickPatience(standby: Standby, now: Millis, out: Outbox): void {
    const { limits } = this.#context.config;
    const waited = now - this.#progressSince;
    if (this.#phase === 'cloning' && waited > limits.cloneGiveUpMs) {
      this.#lose('cloneFailed', 'the clone does not get on', now, out);
    } else if (this.#phase === 'catchingUp') {
      if (this.#watch.ground(now) === null || standby.replayProgress()) this.#progressSince = now;
      else if (waited > limits.catchUpGiveUpMs) {
        this.#lose('cloneFailed', 'the backup has not caught up, and does not get on', now, out);
      }
    }
    const handover = this.#handover;
    if (handover !== null && handover.sentAt === null && now - handover.since > limits.handoverWaitMs) {
      this.#handover = null;
      this.#pace.hold('handover', false);
      this.#enter(
        'protected',
        out,
        'planned failover given up: the backup did not acknowledge all log in time',
      );
    }
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
    this.#standby?.lag.sample(lsn, now, this.#guestClock.ms);
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
        standby.loaded = true;
        this.#progressSince = now;
        this.#enter('catchingUp', out, 'the backup has loaded the clone and replays');
        return true;
      case 'prepared':
        return this.#tenure?.promise(frame.epoch, frame.store) ?? false;
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
      case 'prepare':
      case 'armed':
      case 'handover':
        return false;
    }
  }

  #acknowledged(received: Lsn, out: Outbox): void {
    this.#gate.acknowledge(received);
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
    this.#repeatLeaseFrames(standby, out);
    if (typeof this.#handover?.sentAt === 'number')
      out.send(link, { type: 'handover', reason: 'userAction' });
  }

  /** What the broken connection may have swallowed. */
  #repeatLeaseFrames(standby: Standby, out: Outbox): void {
    const tenure = this.#tenure;
    if (tenure === null) return;
    if (tenure.armed) out.send(standby.link, { type: 'armed', epoch: tenure.term.epoch });
    const { candidate } = tenure;
    if (candidate === null) return;
    out.send(standby.link, { type: 'prepare', epoch: candidate.epoch, store: candidate.store });
  }

  // ---- clone ----

  #startClone(link: LinkId, hello: HelloFrame, now: Millis, out: Outbox): void {
    this.#attempts += 1;
    this.#standby = new Standby(this.#context.config.limits, hello, link, this.#attempts, now);
    this.#reclaimed = 0;
    this.#progressSince = now;
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
    this.#progressSince = now;
    standby.clonePoint(event.lsn, event.frames);
    out.send(standby.link, { type: 'clonePoint', lsn: event.lsn });
  }

  #cloneProgress(attempt: number, bytes: number, now: Millis): void {
    const standby = this.#standby;
    if (standby?.attempt === attempt && !standby.loaded && standby.cloneProgress(bytes))
      this.#progressSince = now;
  }

  #cloneSent(attempt: number, now: Millis): void {
    if (this.#standby?.attempt === attempt && !this.#standby.loaded) this.#progressSince = now;
  }

  #cloneFailed(attempt: number, detail: string, now: Millis, out: Outbox): void {
    const standby = this.#standby;
    if (standby?.attempt !== attempt || standby.loaded) return;
    this.#lose('cloneFailed', `clone failed: ${detail}`, now, out);
  }

  // ---- lease ----

  #leaseAnswer(id: number, answer: LeaseAnswer, now: Millis, out: Outbox): Turn | null {
    if (this.#watch.owns(id)) {
      const tenure = this.#tenure;
      const sight = tenure === null ? null : this.#watch.answer(id, answer, tenure.term, tenure.armed, now);
      return sight === null ? null : this.#seen(sight, now, out);
    }
    const certain = this.#desk.answer(id, answer, now);
    if (certain === null) return null;
    if (certain.op === 'found' || certain.op === 'refound') return this.#founded(certain, now, out);
    const news = this.#tenure?.answer(certain, now, out) ?? null;
    return news === null ? null : this.#tenureNews(news, now, out);
  }

  #founded(answer: LeaseAnswer, now: Millis, out: Outbox): Turn | null {
    this.#desk.drop();
    if (answer.op !== 'found' && answer.op !== 'refound') return null;
    if (answer.result !== 'ok') {
      return end('leaseRefused', answer.result === 'refused' ? answer.detail : 'no answer');
    }
    const { store, epoch } = answer;
    this.#tenure = new Tenure(this.#context.config.nonce, this.#desk, { store, epoch });
    // Switches may still know the guest behind the host on which it ran before.
    out.push({ type: 'announce' });
    this.#becomeAlone(`owner of epoch ${epoch}`, now, out);
    return null;
  }

  #tenureNews(news: TenureNews, now: Millis, out: Outbox): Turn | null {
    switch (news.type) {
      case 'armed':
        this.#watch.restart(now);
        out.send(this.#standby?.link ?? null, { type: 'armed', epoch: news.term.epoch });
        if (this.#phase === 'arming') this.#enter('protected', out, `protected in epoch ${news.term.epoch}`);
        else out.report('info', 'rearmed', `armed anew, epoch ${news.term.epoch}`);
        return null;
      case 'armRefused':
        this.#watch.restart(now);
        out.report('warn', news.reason, 'the lease store refused to arm');
        if (this.#phase === 'arming') this.#backToCatchingUp(now, out);
        return null;
      case 'armDoubtful':
        this.#doubt = true;
        this.#watch.restart(now);
        out.report(
          'warn',
          news.reason,
          'it is not known whether the epoch is armed; asking for a new promise',
        );
        return null;
      case 'won':
      case 'sole':
        this.#becomeAlone('the lease is ours', now, out);
        return this.#switchOff === null ? null : this.#leave(this.#switchOff, out);
      case 'lost':
        if (this.#switchOff === null) return end('leaseLost', 'the other side has won the lease');
        return end(
          'leaseLost',
          `${this.#switchOff.detail}, too late: the VM runs on at the backup, which has won`,
        );
    }
  }

  /** What a look at the lease means for what this side is doing. */
  #seen(sight: Sight, now: Millis, out: Outbox): Turn | null {
    const tenure = this.#tenure;
    if (tenure === null) return null;
    switch (sight.verdict) {
      case 'superseded':
        return end('superseded', 'the lease shows another owner');
      case 'missing':
        out.report('warn', 'missing', 'the lease store has lost its keys; reopening it');
        this.#watch.reopen(now, out);
        return null;
      case 'foreignStore':
        out.report(
          'error',
          'foreignStore',
          `the lease store holds another life, ${sight.store}; a person must look`,
        );
        return null;
      case 'usable':
      case 'stale':
        tenure.storeUsable(sight, now, out);
        if (sight.verdict === 'stale' || this.#doubt || tenure.backupBoundInVain) this.#rearm(sight, out);
        return null;
    }
  }

  /** The armed epoch is not in force in the store any more: a new one, after the backup's promise. */
  #rearm(sight: Sight, out: Outbox): void {
    const tenure = this.#tenure;
    const standby = this.#standby;
    if (standby === null || tenure === null) return;
    if (this.#phase !== 'protected' && !(this.#phase === 'arming' && this.#doubt)) return;
    // Under way, or asked: an answer will come.
    if (tenure.candidate?.store === sight.store && tenure.candidate.run === sight.run) return;
    if (tenure.asked && !this.#doubt) return;
    this.#doubt = false;
    const term = tenure.prepare(sight, standby.nonce);
    out.report('warn', 'rearming', `the lease store is not what it was; arming epoch ${term.epoch}`);
    out.send(standby.link, { type: 'prepare', epoch: term.epoch, store: term.store });
  }

  // ---- commands ----

  #failover(now: Millis, out: Outbox): void {
    if (
      this.#phase !== 'protected' ||
      this.#tenure?.moving !== false ||
      this.#standby?.detector.suspect !== false
    ) {
      out.report('warn', 'notProtected', 'no planned failover: the VM is not protected now');
      return;
    }
    this.#handover = { since: now, sentAt: null };
    this.#pace.hold('handover', true);
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
    this.#pace.hold('outputsFull', this.#gate.full);
    if (this.#pace.permille !== this.#paceSent) {
      this.#paceSent = this.#pace.permille;
      out.push({ type: 'pace', permille: this.#paceSent });
    }
    return null;
  }

  #stepArming(standby: Standby, now: Millis, out: Outbox): void {
    const tenure = this.#tenure;
    if (tenure === null) return;
    if (this.#phase === 'catchingUp') this.#closeGate(standby, tenure, now, out);
    if (!tenure.mayArm) return;
    const { received } = standby;
    if (received === null || received < this.#gateClosedAt) return;
    tenure.arm(now, out);
  }

  /** Caught up, and the store can be used: from here on every output waits for the backup. */
  #closeGate(standby: Standby, tenure: Tenure, now: Millis, out: Outbox): void {
    const ground = this.#watch.ground(now);
    const { received } = standby;
    if (ground === null || received === null || standby.link === null || standby.detector.suspect) return;
    if (standby.lag.lagMs(now) >= this.#context.config.limits.lagNoteMs) return;
    this.#gateClosedAt = this.#head;
    this.#gate.setRule('ack', received);
    const term = tenure.prepare(ground, standby.nonce);
    out.send(standby.link, { type: 'prepare', epoch: term.epoch, store: term.store });
    this.#enter('arming', out, `the backup has caught up; arming epoch ${term.epoch}`);
  }

  #backToCatchingUp(now: Millis, out: Outbox): void {
    this.#gate.setRule('owner');
    this.#progressSince = now;
    this.#enter('catchingUp', out, 'arming again when the lease store can be used');
  }

  #stepHandover(standby: Standby, now: Millis, out: Outbox): void {
    const handover = this.#handover;
    if (handover === null || handover.sentAt !== null || standby.link === null) return;
    if (now - handover.since < this.#context.config.limits.handoverSettleMs) return;
    if ((standby.received ?? 0) < this.#head || this.#gate.heldOutputs > 0) return;
    handover.sentAt = now;
    out.send(standby.link, { type: 'handover', reason: 'userAction' });
  }

  #holdForDigests(standby: Standby, now: Millis, out: Outbox): void {
    this.#pace.hold('digestsFull', standby.digests.full);
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
    if (standby === null || this.#tenure === null) return;
    this.#standby = null;
    this.#handover = null;
    this.#doubt = false;
    this.#lastLoss = reason;
    if (standby.link !== null) out.push({ type: 'closeLink', link: standby.link, reason });
    if (!standby.loaded) out.push({ type: 'abortClone', attempt: standby.attempt });
    out.push({ type: 'retain', on: false });
    this.#pace.hold('handover', false);
    this.#pace.hold('digestsFull', false);
    this.#pace.reset();
    out.report('warn', reason, message);
    if (this.#tenure.takeBack(now, out) === 'sole') {
      this.#becomeAlone(`going on alone: ${message}`, now, out);
      return;
    }
    this.#gate.setRule('nobody');
    this.#watch.restart(now);
    this.#enter('claiming', out, 'outputs wait until the lease says who goes on');
  }

  #becomeAlone(message: string, now: Millis, out: Outbox): void {
    this.#gate.setRule('owner');
    this.#watch.restart(now);
    this.#enter('alone', out, message);
  }

  #enter(phase: PrimaryPhase, out: Outbox, message: string): void {
    this.#phase = phase;
    out.report('info', phase, message);
  }

  /** Nothing is left to settle when no backup may win: a claim, if one is needed, comes before the end. */
  #switchedOff(switchOff: SwitchOff, now: Millis, out: Outbox): Turn | null {
    if (this.#switchOff !== null) return null;
    if (this.#tenure?.backupMayWin !== true) return end(switchOff.reason, switchOff.detail);
    this.#switchOff = switchOff;
    // The quick way for the backup, if it comes through. Nothing rests on it.
    out.send(this.#standby?.link ?? null, { type: 'goodbye', reason: switchOff.reason });
    this.#lose(
      switchOff.reason,
      `${switchOff.detail}; claiming, so that nobody brings the VM back`,
      now,
      out,
    );
    this.#pace.hold('handover', true);
    return null;
  }

  #tickSwitchOff(switchOff: SwitchOff, now: Millis, out: Outbox): Turn | null {
    if (now - switchOff.since <= this.#context.config.limits.switchOffClaimMs) return null;
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
    if (turn.reason === 'userAction' || turn.reason === 'vmNotRunning') {
      out.send(standby.link, { type: 'goodbye', reason: turn.reason });
    } else if (this.#tenure?.backupMayWin === true) {
      out.send(standby.link, { type: 'handover', reason: 'engineFailed' });
    }
  }
}
