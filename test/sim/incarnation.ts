// SPDX-License-Identifier: Apache-2.0
import type { ColdStart, SidecarConfig } from '../../sidecar/protocol/config.js';
import type { Effect } from '../../sidecar/protocol/effects.js';
import type { ProtocolEvent } from '../../sidecar/protocol/events.js';
import type { Limits } from '../../sidecar/protocol/limits.js';
import type { Status } from '../../sidecar/protocol/status.js';
import type { Sidecar } from '../../sidecar/protocol/sidecar.js';
import type { Connection, Endpoint, Message } from './network.js';
import type { LogEvent, Output } from './machine.js';
import { GuestDisk, type GuestRequest } from './guest-disk.js';
import { LIFE_REQUESTS } from './disk-image.js';
import { Machine, REQUEST_EVERY } from './machine.js';
import { SimDisk } from './sim-disk.js';
import type { World } from './world.js';

const STEP_MS = 10;
const EVENT_BYTES_MAX = 20;
const BEAT_TIMEOUT_MS = 400;
const DIAL_TIMEOUT_MS = 60;
const RING_BYTES = 1_000;
/** A clone's progress is told this often. */
const PIECE_MS = 200;
/** Longest time in which a clone point that nobody wants is told and undone, ms. */
const UNWANTED_POINT_MS = 30;
/** A guest comes to rest in this time, or is not cloned. */
const REST_MS = 300;
const REST_LOOK_MS = 2;

type EngineState = 'recording' | 'waiting' | 'replaying' | 'live' | 'failed' | 'off';

interface Queued {
  readonly index: number;
  readonly output: Output;
  readonly head: number;
}

/** A clone that was asked for. One after the other: QEMU has one migration at a time. */
interface Clone {
  readonly attempt: number;
  readonly connection: Connection | null;
  readonly peer: Incarnation | null;
  aborted: boolean;
  bytes: number;
}

interface Open {
  readonly connection: Connection;
  readonly side: 0 | 1;
}

/** One sidecar process, its engine and its I/O side: everything around the real protocol code. */
export class Incarnation implements Endpoint {
  readonly world: World;
  readonly name: string;
  readonly host: string;
  readonly nonce: string;
  readonly life: number;
  readonly core: Sidecar;
  readonly limits: Limits;
  dead = false;
  /** Where a backup dials. */
  readonly target: Incarnation | null;
  /** As last told by the core. */
  status: Status | null = null;
  frozen = false;
  /** Faults of the engine. */
  #stuck = false;
  wasStuck = false;
  /** Its VM was switched off on purpose. */
  switchedOff = false;
  slow = 1;
  /** Takes up what its engine does, and neither ticks nor what sockets hold. */
  deaf = false;
  machine: Machine;
  /** Null: this VM has none. */
  readonly disk: SimDisk | null;
  state: EngineState;

  readonly #rate: number;
  readonly #offset: number;
  #inbox: { readonly what: () => void; readonly by: Connection | null; readonly at: number }[] = [];
  /** When something of the peer was last taken up. */
  #heardAt = 0;
  readonly #links = new Map<number, Open>();
  #linkCount = 0;
  #ranAt = 0;
  readonly #queue: Queued[] = [];
  #beats = 0;
  #frames = 0;
  #pipeAt = 0;
  /** Outputs in the NIC's socket. */
  #inPipe = 0;
  /** Where the engine went live, until the sidecar has seen it. */
  #liveUntold: number | null = null;
  /** The newest connection that this side has dialled: only its log reaches the ring. */
  #dialled = 0;
  #unwantedSince: number | null = null;
  /** A clone point, until the sidecar has seen it. */
  #pointUntold: Extract<ProtocolEvent, { type: 'clonePoint' }> | null = null;
  /** It answers the disk's requests, and does nothing else. */
  #comesToRest = false;
  #nbdAt = 0;
  // ring
  readonly #log: LogEvent[] = [];
  #produced = 12;
  #bytes = 0;
  #retain = false;
  #reclaimed = 0;
  #pace = 0;
  #promote = false;
  /** The connection whose clone this side takes. */
  #receiving: Connection | null = null;
  readonly #clones: Clone[] = [];

  constructor(world: World, name: string, host: string, start: ColdStart | Incarnation) {
    const target = start instanceof Incarnation ? start : null;
    const coldStart = start instanceof Incarnation ? null : start;
    this.world = world;
    this.target = target;
    this.name = name;
    this.host = host;
    this.life = world.life;
    this.nonce = world.random.hex128();
    this.limits = world.limits;
    this.#rate = world.random.between(0.97, 1.03);
    this.#offset = world.random.between(0, 1e6);
    this.state = coldStart === null ? 'waiting' : 'recording';
    this.disk = world.hasDisk ? new SimDisk(this, world.imageOf(host)) : null;
    this.machine = new Machine(this.#guestDisk());
    const config: SidecarConfig = {
      vm: 'vm',
      nonce: this.nonce,
      identity: { engine: 'model', logVersion: 1, qemuVersion: '10', deviceHash: 'd' },
      coldStart,
      ringBytes: RING_BYTES,
      disks: world.hasDisk ? 1 : 0,
      limits: world.limits,
    };
    this.core = new world.product.Sidecar(config);
  }

  /** A guest that starts finds what is in the image. */
  #guestDisk(): GuestDisk | null {
    if (this.disk === null) return null;
    return new GuestDisk(this.life * LIFE_REQUESTS, this.disk.image.cells);
  }

  start(): void {
    this.#carryOut(this.core.start(this.#localNow()));
    this.#scheduleTick();
    this.#scheduleStep();
  }

  // ---- process ----

  #localNow(): number {
    return this.world.schedule.now * this.#rate + this.#offset;
  }

  #scheduleTick(): void {
    this.world.schedule.after(this.limits.tickMs / this.#rate, () => {
      if (this.dead) return;
      if (!this.stuck) this.#beats += 1;
      if (!this.frozen && !this.deaf) this.#tick();
      this.#scheduleTick();
    });
  }

  #tick(): void {
    this.#observeLive();
    this.hand({ type: 'engineBeat', beat: this.#beats });
    this.hand({ type: 'tick' });
  }

  arrives(what: () => void, by: Connection | null = null): void {
    if (this.dead) return;
    if (this.frozen || this.deaf) {
      this.#inbox.push({ what, by, at: this.world.schedule.now });
      return;
    }
    if (by !== null && by === this.#peerLink()?.connection) this.#heardAt = this.world.schedule.now;
    what();
  }

  /** As `arrives`, from the ring or the NIC's socket: seen also in a turn that reads nothing else. */
  #engineTells(what: () => void): void {
    if (this.dead) return;
    if (this.frozen) this.#inbox.push({ what, by: null, at: this.world.schedule.now });
    else what();
  }

  /** The sidecar's loop takes up an event. */
  hand(event: ProtocolEvent): void {
    this.arrives(() => {
      this.#handle(event);
    });
  }

  #handEngine(event: ProtocolEvent): void {
    this.#engineTells(() => {
      this.#handle(event);
    });
  }

  #handle(event: ProtocolEvent): void {
    if (this.dead) return;
    this.#ranAt = this.world.schedule.now;
    const effects = this.core.handle(event, this.#localNow());
    this.world.judge.effects(this, effects);
    this.#carryOut(effects);
    this.world.check(this);
  }

  get stuck(): boolean {
    return this.#stuck;
  }

  set stuck(on: boolean) {
    this.#stuck = on;
    this.wasStuck ||= on;
  }

  freeze(): void {
    this.frozen = true;
    this.deaf = false;
  }

  thaw(): void {
    this.frozen = false;
    this.#catchUp();
  }

  /** A busy stretch: what the engine does is handled, ticks and sockets wait. */
  deafFor(ms: number): void {
    if (this.frozen || this.deaf) return;
    this.deaf = true;
    this.world.schedule.after(ms, () => {
      if (!this.deaf) return;
      this.deaf = false;
      this.#catchUp();
    });
  }

  /** Timers that are overdue run before or after what the sockets hold. */
  #catchUp(): void {
    if (this.dead) return;
    if (this.world.random.chance(0.5)) this.#tick();
    const inbox = this.#inbox;
    this.#inbox = [];
    for (const { what, by } of inbox) this.arrives(what, by);
  }

  /** The peer was never silent for long: what it has sent lies here and was not looked at. */
  get hasUnread(): boolean {
    const connection = this.#peerLink()?.connection;
    const oldest = this.#inbox.find(({ by }) => by !== null && by === connection);
    if (oldest === undefined) return false;
    const { deadAfterMs, tickLateMs, tickMs } = this.limits;
    return oldest.at - this.#heardAt < deadAfterMs - tickLateMs - tickMs;
  }

  /** The connection to the peer: of a backup the one that it dialled, of a primary the newest one that said hello. */
  #peerLink(): Open | undefined {
    return this.target !== null && this.status?.role === 'backup'
      ? this.#links.get(this.#dialled)
      : [...this.#links.values()].findLast((open) => open.connection.heard);
  }

  /** The process is gone. `silent`: with its host, so that nobody is told. */
  kill(silent: boolean): void {
    if (this.dead) return;
    this.dead = true;
    for (const clone of this.#clones) clone.aborted = true;
    for (const { connection, side } of this.#links.values()) {
      if (silent) connection.vanish(side);
      else connection.close(side);
    }
    this.#links.clear();
    this.disk?.killed(silent);
    if (silent) this.disk?.image.crash(this.world.diskRandom);
    this.world.trace(`${this.name} is dead${silent ? ' with its host' : ''}`);
  }

  // ---- effects ----

  #carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) {
      this.world.watch(this, effect);
      this.#carryOutOne(effect);
    }
  }

  #carryOutOne(effect: Effect): void {
    switch (effect.type) {
      case 'dial':
        this.#dial();
        return;
      case 'send':
        this.#send(effect.link, { kind: 'frame', frame: effect.frame });
        return;
      case 'ship':
        this.#ship(effect.link, effect.from, effect.to, effect.end);
        return;
      case 'closeLink':
        this.#closeLink(effect.link);
        return;
      case 'lease':
        this.world.lease(this, effect.id, effect.request);
        return;
      case 'startClone':
        this.#startClone(effect.attempt, effect.link);
        return;
      case 'abortClone':
        for (const clone of this.#clones) if (clone.attempt === effect.attempt) clone.aborted = true;
        return;
      case 'receiveClone':
        this.#receiving = this.#links.get(effect.link)?.connection ?? null;
        this.disk?.receive();
        return;
      case 'logFrom':
        this.#bytes = effect.lsn;
        this.disk?.follow();
        return;
      case 'retain':
        this.#retain = effect.on;
        return;
      case 'reclaim':
        this.#reclaimed = effect.below;
        return;
      case 'pace':
        this.#pace = effect.permille;
        return;
      case 'promote':
        this.#promote = true;
        this.disk?.promote();
        return;
      case 'release':
        this.#release(effect);
        return;
      case 'drop':
        while ((this.#queue[0]?.index ?? Infinity) <= effect.through) this.#queue.shift();
        return;
      case 'diskAnswer':
        this.disk?.answer(effect.id);
        return;
      case 'diskOutcome':
        this.disk?.learn(effect);
        return;
      case 'copyDisks':
        this.disk?.copyTo(effect.attempt, this.#peerAt(effect.link));
        return;
      case 'endCopy':
        this.disk?.endCopy();
        return;
      case 'ingress':
      case 'announce':
        return; // inputs come from inside the model
      case 'report':
        this.world.trace(`${this.name} ${effect.reason}: ${effect.message}`);
        return;
      case 'status':
        this.#statusChanged(effect.status);
        return;
      case 'end':
        this.world.count(`end ${effect.reason}`);
        this.kill(false);
        return;
    }
  }

  #statusChanged(status: Status): void {
    const before = this.status;
    this.status = status;
    this.disk?.statusChanged(status);
    this.world.statusChanged(this, before);
  }

  #release(effect: Extract<Effect, { type: 'release' }>): void {
    while ((this.#queue[0]?.index ?? Infinity) <= effect.through) {
      const { output, head } = this.#queue.shift() as Queued;
      if (effect.limit.by === 'ack' && head > effect.limit.acked) {
        this.world.violated(`${this.name} releases an output of ${head} by an ack of ${effect.limit.acked}`);
      }
      this.world.seen(this, output, head, effect.limit);
    }
  }

  // ---- links ----

  #dial(): void {
    const peer = this.target;
    const { network, schedule } = this.world;
    const reachable = (): boolean =>
      peer !== null &&
      !peer.dead &&
      !network.isCut(this.host, peer.host) &&
      !network.isCut(peer.host, this.host);
    schedule.after(network.delay() * 2, () => {
      if (this.dead) return;
      if (peer !== null && reachable() && !peer.frozen) {
        this.#connect(peer);
        return;
      }
      const refused =
        peer?.dead === true && this.world.hostUp(peer.host) && !network.isCut(this.host, peer.host);
      const waitMs = refused ? 0 : DIAL_TIMEOUT_MS;
      schedule.after(waitMs, () => {
        this.hand({ type: 'dialFailed', detail: refused ? 'refused' : 'timed out' });
      });
    });
  }

  #connect(peer: Incarnation): void {
    const connection = this.world.network.connect(this, peer);
    const mine = this.#open(connection, 0);
    this.#dialled = mine;
    peer.accept(connection);
    this.hand({ type: 'dialled', link: mine });
  }

  /** Somebody has connected. */
  accept(connection: Connection): void {
    this.hand({ type: 'accepted', link: this.#open(connection, 1) });
  }

  #open(connection: Connection, side: 0 | 1): number {
    this.#linkCount += 1;
    const link = this.#linkCount;
    this.#links.set(link, { connection, side });
    connection.attach(side, {
      message: (message) => {
        this.#message(link, message);
      },
      down: (detail) => {
        this.#links.delete(link);
        this.hand({ type: 'linkDown', link, detail });
      },
    });
    return link;
  }

  #send(link: number, message: Message): void {
    const open = this.#links.get(link);
    open?.connection.send(open.side, message);
  }

  #closeLink(link: number): void {
    const open = this.#links.get(link);
    this.#links.delete(link);
    open?.connection.close(open.side);
  }

  #message(link: number, message: Message): void {
    if (!this.#links.has(link)) return;
    if (message.kind === 'frame') {
      if (message.frame.type === 'digest') this.#sawDigest(message.frame.lsn, message.frame.hash);
      this.hand({ type: 'frame', link, frame: message.frame });
      return;
    }
    if (message.kind !== 'log' || link !== this.#dialled || this.target === null) return; // not of the peer: never into the ring
    if (message.from !== this.#bytes) {
      this.world.violated(`${this.name} got log from ${message.from}, has ${this.#bytes}`);
      return;
    }
    for (const event of message.events) if (event.from >= (this.#log.at(-1)?.to ?? 0)) this.#log.push(event);
    this.#bytes = message.to;
    if (this.#bytes - this.machine.lsn > RING_BYTES && this.state === 'replaying') {
      this.world.violated(`${this.name} was sent more log than its ring can hold`);
    }
    this.hand({ type: 'received', link, lsn: message.to, end: message.end });
  }

  #sawDigest(lsn: number, hash: string): void {
    this.world.safety.digest(this, hash);
    if (lsn > this.#bytes) this.world.violated(`${this.name} is told of an output at ${lsn} before its log`);
  }

  #ship(link: number, from: number, to: number, end: boolean): void {
    if (this.#produced - from > RING_BYTES || (this.#retain && from < this.#reclaimed)) {
      this.world.violated(`${this.name} ships log from ${from} that is not in its ring any more`);
    }
    // One range may travel in several frames; only the last one can tell that an event ends.
    const { random } = this.world;
    const cut = random.chance(0.3) ? random.int(from + 1, to) : to;
    if (cut < to) this.#sendLog(link, from, cut, false);
    this.#sendLog(link, cut < to ? cut : from, to, end);
  }

  #sendLog(link: number, from: number, to: number, end: boolean): void {
    const events: LogEvent[] = [];
    for (let i = this.#log.length - 1; i >= 0; i -= 1) {
      const event = this.#log[i] as LogEvent;
      if (event.to <= from) break;
      if (event.from < to) events.unshift(event);
    }
    this.#send(link, { kind: 'log', from, to, end, events });
  }

  // ---- engine ----

  #scheduleStep(): void {
    const pace = this.#pace >= 1000 ? 1 : 1 / (1 - this.#pace / 1000);
    const replaying = this.state === 'replaying';
    const behind = replaying && this.#bytes - this.machine.lsn > 60;
    const { replay, catchUp } = this.world.speed;
    const mean = STEP_MS * (replaying ? this.slow / (behind ? catchUp : replay) : pace);
    this.world.schedule.after(this.world.random.between(0.2, 2) * mean, () => {
      if (this.dead) return;
      this.#step();
      this.#scheduleStep();
    });
  }

  #step(): void {
    const held = this.world.schedule.now - this.#ranAt > BEAT_TIMEOUT_MS;
    if (held || this.state === 'failed' || this.state === 'off' || this.world.isHostFrozen(this.host)) return;
    if (this.state === 'replaying') this.#replayStep();
    else if (this.state !== 'waiting' && this.#pace < 1000) this.#recordStep();
  }

  #recordStep(): void {
    this.#judgeRetain();
    if (this.stuck || this.#pipeFull) return;
    if (this.#comesToRest) {
      if (this.disk?.done !== null) this.#record(0);
      return;
    }
    const { random } = this.world;
    if (!random.chance(this.world.bursts)) {
      this.#record(random.uint32());
      return;
    }
    // As much as the socket takes, all in one go: each of these inputs leads to an output.
    for (let room = this.limits.holdSlackOutputs - this.#inPipe; room > 0 && this.#record(0); room -= 1);
  }

  /** The NIC's socket holds no more: the engine waits in its write. */
  get #pipeFull(): boolean {
    return this.#inPipe >= this.limits.holdSlackOutputs;
  }

  /** Log kept for a clone that nobody wants is reclaimed by nobody, and stops the guest. */
  #judgeRetain(): void {
    const { now } = this.world.schedule;
    const phase = this.status?.phase;
    const unwanted =
      this.#retain && (phase === 'alone' || phase === 'claiming') && !this.frozen && !this.deaf;
    if (!unwanted) this.#unwantedSince = null;
    else this.#unwantedSince ??= now;
    if (this.#unwantedSince !== null && now - this.#unwantedSince > UNWANTED_POINT_MS) {
      this.world.violated(`${this.name} keeps log that nobody will ever reclaim`);
    }
  }

  get #ringFull(): boolean {
    return this.#retain && this.#produced + EVENT_BYTES_MAX - this.#reclaimed > RING_BYTES;
  }

  /** One event. False: the ring is full, and the producer waits. */
  #record(input: number): boolean {
    if (this.#ringFull) return false;
    const bytes = this.world.random.int(4, EVENT_BYTES_MAX);
    const done = this.disk?.done ?? null;
    const event = {
      from: this.#produced,
      to: this.#produced + bytes,
      input: this.world.resting && input % REQUEST_EVERY === 1 ? input + 1 : input,
      ...(done === null ? {} : { done }),
    };
    this.#log.push(event);
    this.#produced = event.to;
    if (this.#log.length > 2_000) this.#log.splice(0, 1_000);
    const output = this.#react(event);
    this.#engineTells(() => {
      this.#observeLive();
    });
    this.#handEngine({ type: 'produced', lsn: event.to });
    if (output !== null) this.#emit(output);
    return true;
  }

  #replayStep(): void {
    if (this.stuck || this.#pipeFull) return;
    const next = this.#log.find((event) => event.from === this.machine.lsn);
    if (next !== undefined && next.to <= this.#bytes) {
      if (next.done !== undefined && this.disk?.answerTo(next.done) === null) return; // as QEMU waits for its own disk
      const output = this.#react(next);
      while ((this.#log[0]?.to ?? Infinity) <= this.machine.lsn) this.#log.shift();
      this.#handEngine({ type: 'consumed', lsn: next.to });
      if (output !== null) this.#emit(output);
      return;
    }
    if (this.#promote) this.#goLive();
  }

  /** The guest takes up an event; what it asks of its disk goes to the sidecar. */
  #react(event: LogEvent): Output | null {
    const { done } = event;
    const answer = done === undefined ? null : (this.disk?.answerTo(done) ?? null);
    if (done !== undefined) this.disk?.taken(done);
    const { output, request } = this.machine.take(event, answer);
    if (request !== null) this.#ask(request);
    return output;
  }

  /** By the disk's socket: in order, a little later. A clone point that lies before it is known first. */
  #ask(request: GuestRequest): void {
    const { schedule, diskRandom } = this.world;
    this.#nbdAt = Math.max(this.#nbdAt, schedule.now + diskRandom.between(0, 1));
    schedule.after(this.#nbdAt - schedule.now, () => {
      this.arrives(() => {
        this.#observePoint();
        this.disk?.arrived(request);
      });
    });
  }

  #goLive(): void {
    this.state = 'live';
    this.#log.length = 0; // a truncated last event is thrown away
    this.#produced = this.machine.lsn;
    this.world.trace(`${this.name} engine goes live at ${this.machine.lsn}`);
    this.#liveUntold = this.machine.lsn;
    this.world.schedule.after(this.world.random.between(0, 3), () => {
      this.#engineTells(() => {
        this.#observeLive();
      });
    });
  }

  /** The sidecar looks before it tells of anything that the engine did afterwards. */
  #observeLive(): void {
    const lsn = this.#liveUntold;
    if (lsn === null) return;
    this.#liveUntold = null;
    this.#handle({ type: 'live', lsn });
  }

  /** Out of the engine, through its socket: in order, a little later. */
  #emit(output: Output): void {
    this.#frames += 1;
    this.#inPipe += 1;
    const index = this.#frames;
    const { schedule, random } = this.world;
    this.#pipeAt = Math.max(this.#pipeAt, schedule.now + random.between(0, random.chance(0.05) ? 20 : 2));
    schedule.after(this.#pipeAt - schedule.now, () => {
      this.#engineTells(() => {
        if (this.dead) return;
        this.#inPipe -= 1;
        const { head } = this;
        this.#observeLive();
        this.#queue.push({ index, output, head });
        this.#handle({ type: 'output', index, bytes: output.bytes, hash: output.hash, head });
      });
    });
  }

  fail(): void {
    if (this.dead || this.state === 'failed' || this.state === 'off') return;
    this.state = 'failed';
    this.#handEngine({ type: 'engineFailed', detail: 'the engine failed' });
  }

  /** A person stops the VM, or the guest switches itself off. */
  switchOff(by: 'person' | 'guest'): void {
    if (this.dead || this.state === 'failed') return;
    this.switchedOff = true;
    if (by === 'person') {
      this.hand({ type: 'commandStop' });
      return;
    }
    this.state = 'off';
    this.#handEngine({ type: 'engineExited' });
  }

  /** The next log that comes cannot be read. */
  corrupt(): void {
    const link = this.#dialled;
    if (!this.#links.has(link) || this.state !== 'replaying') return;
    this.stuck = true;
    this.hand({ type: 'logCorrupt', link, detail: 'an event of no known kind' });
  }

  // ---- clone ----

  #startClone(attempt: number, link: number): void {
    const open = this.#links.get(link);
    const peer = this.#peerAt(link);
    this.#clones.push({ attempt, connection: open?.connection ?? null, peer, aborted: false, bytes: 0 });
    if (this.#clones.length === 1) this.#migrate();
  }

  /** The oldest clone asked for: comes to rest, then its memory is sent. Aborting it does not prevent its point. */
  #migrate(): void {
    const [clone] = this.#clones;
    if (clone === undefined || this.dead) return;
    if (clone.aborted) {
      this.#cloneOver(clone, 'given up before it began');
      return;
    }
    const { schedule, random } = this.world;
    schedule.after(random.between(2, 15), () => {
      if (this.dead) return;
      if (clone.aborted && random.chance(0.5)) this.#cloneOver(clone, 'cancelled');
      else if (random.chance(this.world.cloneFailures) || this.#ringFull) {
        this.#cloneOver(clone, 'the guest did not come to rest');
      } else this.#rest(clone, REST_MS);
    });
  }

  /** No request to a disk is under way at a clone point. */
  #rest(clone: Clone, leftMs: number): void {
    if (this.dead) return;
    const isAtRest = (this.machine.disk?.pending.size ?? 0) === 0;
    this.#comesToRest = !isAtRest && leftMs > 0;
    if (isAtRest) {
      this.#stream(clone, this.#point(clone.attempt), this.world.cloneExtraMs);
    } else if (leftMs <= 0) {
      this.#cloneOver(clone, 'the guest did not come to rest');
    } else {
      this.world.schedule.after(REST_LOOK_MS, () => {
        this.#rest(clone, leftMs - REST_LOOK_MS);
      });
    }
  }

  /** The engine does this, whatever its sidecar has wanted since. */
  #point(attempt: number): Machine {
    const lsn = this.#produced;
    const frames = this.#frames;
    this.#retain = true;
    this.#reclaimed = lsn;
    this.#pointUntold = { type: 'clonePoint', attempt, lsn, frames };
    this.world.schedule.after(this.world.random.between(0, 5), () => {
      this.#engineTells(() => {
        this.#observePoint();
      });
    });
    return this.machine.clone();
  }

  #observePoint(): void {
    const point = this.#pointUntold;
    if (point === null) return;
    this.#pointUntold = null;
    this.#handle(point);
  }

  /** Its memory, piece by piece; a stream that hangs moves no more, and ends only when it is given up. */
  #stream(clone: Clone, machine: Machine, leftMs: number): void {
    const pieceMs = this.world.clonesHang ? PIECE_MS : Math.min(leftMs, PIECE_MS);
    this.world.schedule.after(pieceMs, () => {
      if (this.dead) return;
      const hangs = this.world.clonesHang;
      if (leftMs <= PIECE_MS && !hangs) {
        this.#sendMachine(clone, machine);
        return;
      }
      if (clone.aborted) {
        this.#cloneOver(clone, 'given up');
        return;
      }
      if (!hangs) {
        clone.bytes += pieceMs;
        this.hand({ type: 'cloneProgress', attempt: clone.attempt, bytes: clone.bytes });
      }
      this.#stream(clone, machine, hangs ? leftMs : leftMs - pieceMs);
    });
  }

  #sendMachine(clone: Clone, machine: Machine): void {
    const { schedule, random, network } = this.world;
    schedule.after(random.between(20, 250), () => {
      if (this.dead) return;
      const { peer } = clone;
      if (!clone.aborted && peer?.awaitsClone(clone.connection) === true) {
        this.#sendMachine(clone, machine); // it is busy, and opens its clone connection later
        return;
      }
      const wanted = peer !== null && !peer.dead && peer.#receiving === clone.connection;
      if (clone.aborted || !wanted || network.isCut(this.host, peer.host)) {
        this.#cloneOver(clone, 'the clone connection broke');
        return;
      }
      this.#clones.shift();
      this.hand({ type: 'cloneSent', attempt: clone.attempt });
      peer.arrives(() => {
        peer.#load(machine);
      });
      this.#migrate();
    });
  }

  /** Connected, and has not yet read that it was accepted. */
  awaitsClone(connection: Connection | null): boolean {
    return !this.dead && this.#receiving === null && connection !== null && this.holds(connection);
  }

  #cloneOver(clone: Clone, detail: string): void {
    this.#clones.shift();
    this.hand({ type: 'cloneFailed', attempt: clone.attempt, detail });
    if (!clone.aborted) clone.peer?.hand({ type: 'loadFailed', detail });
    this.#migrate();
  }

  #load(machine: Machine): void {
    if (this.dead || this.state !== 'waiting') return;
    this.machine = machine;
    this.state = 'replaying';
    this.hand({ type: 'loaded' });
  }

  // ---- what others may see ----

  /** This side has that connection. */
  holds(connection: Connection): boolean {
    return [...this.#links.values()].some((open) => open.connection === connection);
  }

  /** Where its log stands: what it writes next, or takes up. */
  get head(): number {
    const isRecording = this.state === 'recording' || this.state === 'live';
    return isRecording ? this.#produced : this.machine.lsn;
  }

  #peerAt(link: number): Incarnation | null {
    const open = this.#links.get(link);
    return open === undefined ? null : this.world.otherEnd(this, open.connection);
  }

  /** Outputs waiting in the I/O side. */
  get queued(): number {
    return this.#queue.length;
  }
}
