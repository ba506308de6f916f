// SPDX-License-Identifier: Apache-2.0
import type { ColdStart, SidecarConfig } from '../../sidecar/protocol/config.js';
import type { Effect } from '../../sidecar/protocol/effects.js';
import type { ProtocolEvent } from '../../sidecar/protocol/events.js';
import type { Limits } from '../../sidecar/protocol/limits.js';
import type { Status } from '../../sidecar/protocol/status.js';
import type { Sidecar } from '../../sidecar/protocol/sidecar.js';
import type { Connection, Endpoint, Message } from './network.js';
import type { LogEvent, Output } from './machine.js';
import { Machine } from './machine.js';
import type { World } from './world.js';

const STEP_MS = 10;
const BEAT_TIMEOUT_MS = 400;
const DIAL_TIMEOUT_MS = 60;
const RING_BYTES = 1_000;

type EngineState = 'recording' | 'waiting' | 'replaying' | 'live' | 'failed';

interface Queued {
  readonly index: number;
  readonly output: Output;
  readonly head: number;
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
  stuck = false;
  slow = 1;
  machine = new Machine();
  state: EngineState;

  readonly #rate: number;
  readonly #offset: number;
  #inbox: (() => void)[] = [];
  readonly #links = new Map<number, Open>();
  #linkCount = 0;
  #ranAt = 0;
  readonly #queue: Queued[] = [];
  #beats = 0;
  #frames = 0;
  #pipeAt = 0;
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
  #clone: { readonly attempt: number; readonly stop: () => void } | null = null;

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
    const config: SidecarConfig = {
      vm: 'vm',
      nonce: this.nonce,
      identity: { engine: 'model', logVersion: 1, qemuVersion: '10', deviceHash: 'd' },
      coldStart,
      ringBytes: RING_BYTES,
      limits: world.limits,
    };
    this.core = new world.product.Sidecar(config);
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
      if (!this.frozen) {
        if (!this.stuck) this.#beats += 1;
        this.hand({ type: 'engineBeat', beat: this.#beats });
        this.hand({ type: 'tick' });
      }
      this.#scheduleTick();
    });
  }

  arrives(what: () => void): void {
    if (this.dead) return;
    if (this.frozen) this.#inbox.push(what);
    else what();
  }

  /** The sidecar's loop takes up an event. */
  hand(event: ProtocolEvent): void {
    this.arrives(() => {
      if (this.dead) return;
      this.#ranAt = this.world.schedule.now;
      const effects = this.core.handle(event, this.#localNow());
      this.#carryOut(effects);
      this.world.check(this);
    });
  }

  freeze(): void {
    this.frozen = true;
  }

  thaw(): void {
    this.frozen = false;
    if (this.dead) return;
    // Timers that are overdue run before or after what the sockets hold.
    if (this.world.random.chance(0.5)) this.hand({ type: 'tick' });
    const inbox = this.#inbox;
    this.#inbox = [];
    for (const what of inbox) this.arrives(what);
  }

  /** The process is gone. `silent`: with its host, so that nobody is told. */
  kill(silent: boolean): void {
    if (this.dead) return;
    this.dead = true;
    this.#stopClone();
    for (const { connection, side } of this.#links.values()) {
      if (silent) connection.vanish(side);
      else connection.close(side);
    }
    this.#links.clear();
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
        this.#stopClone();
        return;
      case 'receiveClone':
        this.#receiving = this.#links.get(effect.link)?.connection ?? null;
        return;
      case 'logFrom':
        this.#bytes = effect.lsn;
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
        return;
      case 'release':
        this.#release(effect);
        return;
      case 'drop':
        while ((this.#queue[0]?.index ?? Infinity) <= effect.through) this.#queue.shift();
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
    const theirs = peer.#open(connection, 1);
    peer.hand({ type: 'accepted', link: theirs });
    this.hand({ type: 'dialled', link: mine });
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
      if (message.frame.type === 'digest') this.world.safety.digest(this, message.frame.lsn);
      this.hand({ type: 'frame', link, frame: message.frame });
      return;
    }
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

  #ship(link: number, from: number, to: number, end: boolean): void {
    if (this.#produced - from > RING_BYTES || (this.#retain && from < this.#reclaimed)) {
      this.world.violated(`${this.name} ships log from ${from} that is not in its ring any more`);
    }
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
    const mean = STEP_MS * (replaying ? this.slow * (behind ? 0.3 : 0.8) : pace);
    this.world.schedule.after(this.world.random.between(0.2, 2) * mean, () => {
      if (this.dead) return;
      this.#step();
      this.#scheduleStep();
    });
  }

  #step(): void {
    const held = this.world.schedule.now - this.#ranAt > BEAT_TIMEOUT_MS;
    if (held || this.state === 'failed' || this.world.isHostFrozen(this.host)) return;
    if (this.state === 'replaying') this.#replayStep();
    else if (this.state !== 'waiting' && this.#pace < 1000) this.#recordStep();
  }

  #recordStep(): void {
    if (this.stuck) return;
    const bytes = this.world.random.int(4, 20);
    if (this.#retain && this.#produced + bytes - this.#reclaimed > RING_BYTES) return; // the producer waits
    const event = { from: this.#produced, to: this.#produced + bytes, input: this.world.random.uint32() };
    this.#log.push(event);
    this.#produced = event.to;
    if (this.#log.length > 2_000) this.#log.splice(0, 1_000);
    const output = this.machine.take(event);
    this.hand({ type: 'produced', lsn: event.to });
    if (output !== null) this.#emit(output);
  }

  #replayStep(): void {
    if (this.stuck) return;
    const next = this.#log.find((event) => event.from === this.machine.lsn);
    if (next !== undefined && next.to <= this.#bytes) {
      const output = this.machine.take(next);
      while ((this.#log[0]?.to ?? Infinity) <= this.machine.lsn) this.#log.shift();
      this.hand({ type: 'consumed', lsn: next.to });
      if (output !== null) this.#emit(output);
      return;
    }
    if (this.#promote) this.#goLive();
  }

  #goLive(): void {
    this.state = 'live';
    this.#log.length = 0; // a truncated last event is thrown away
    this.#produced = this.machine.lsn;
    this.world.trace(`${this.name} engine goes live at ${this.machine.lsn}`);
    this.hand({ type: 'live', lsn: this.machine.lsn });
  }

  /** Out of the engine, through its socket: in order, a little later. */
  #emit(output: Output): void {
    this.#frames += 1;
    const index = this.#frames;
    const { schedule, random } = this.world;
    this.#pipeAt = Math.max(this.#pipeAt, schedule.now + random.between(0, random.chance(0.05) ? 20 : 2));
    schedule.after(this.#pipeAt - schedule.now, () => {
      this.arrives(() => {
        if (this.dead) return;
        const recording = this.state === 'recording' || this.state === 'live';
        const head = recording ? this.#produced : this.machine.lsn;
        this.#queue.push({ index, output, head });
        this.hand({ type: 'output', index, bytes: 60, hash: output.hash, head });
      });
    });
  }

  fail(): void {
    if (this.dead || this.state === 'failed') return;
    this.state = 'failed';
    this.hand({ type: 'engineFailed', detail: 'the engine failed' });
  }

  /** The next log that comes cannot be read. */
  corrupt(): void {
    const link = [...this.#links.keys()].at(-1);
    if (link === undefined || this.state !== 'replaying') return;
    this.stuck = true;
    this.hand({ type: 'logCorrupt', link, detail: 'an event of no known kind' });
  }

  // ---- clone ----

  #startClone(attempt: number, link: number): void {
    const { schedule, random, network } = this.world;
    const open = this.#links.get(link);
    const peer = open === undefined ? null : this.world.otherEnd(this, open.connection);
    let going = true;
    this.#clone = {
      attempt,
      stop: () => {
        going = false;
      },
    };
    const fail = (detail: string): void => {
      if (!going) return;
      this.#stopClone();
      this.hand({ type: 'cloneFailed', attempt, detail });
      peer?.hand({ type: 'loadFailed', detail });
    };
    schedule.after(random.between(2, 15), () => {
      if (!going || this.dead) return;
      if (random.chance(this.world.cloneFailures)) {
        fail('the guest did not come to rest');
        return;
      }
      const machine = this.machine.clone();
      const lsn = this.#produced;
      const frames = this.#frames;
      this.#retain = true;
      this.#reclaimed = lsn;
      schedule.after(random.between(0, 5), () => {
        this.hand({ type: 'clonePoint', attempt, lsn, frames });
      });
      schedule.after(random.between(20, 250) + this.world.cloneExtraMs, () => {
        if (!going || this.dead) return;
        const wanted = peer !== null && !peer.dead && peer.#receiving === open?.connection;
        if (!wanted || network.isCut(this.host, peer.host)) {
          fail('the clone connection broke');
          return;
        }
        this.#stopClone();
        this.hand({ type: 'cloneSent', attempt });
        peer.arrives(() => {
          peer.#load(machine);
        });
      });
    });
  }

  #stopClone(): void {
    this.#clone?.stop();
    this.#clone = null;
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

  /** Outputs waiting in the I/O side. */
  get queued(): number {
    return this.#queue.length;
  }
}
