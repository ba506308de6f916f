// SPDX-License-Identifier: Apache-2.0
import type { ColdStart } from '../../sidecar/protocol/config.js';
import type { Effect, ReleaseLimit } from '../../sidecar/protocol/effects.js';
import type { LeaseRequest } from '../../sidecar/protocol/lease/messages.js';
import type { Limits } from '../../sidecar/protocol/limits.js';
import type { Phase, Status } from '../../sidecar/protocol/status.js';
import { Incarnation } from './incarnation.js';
import { HostImage } from './disk-image.js';
import { Judge } from './judge.js';
import { SIM_LIMITS } from './limits.js';
import type { Output } from './machine.js';
import type { Connection } from './network.js';
import { Network } from './network.js';
import { Prng } from './prng.js';
import type { Product } from './product.js';
import { Safety, Violation } from './safety.js';
import { Schedule } from './schedule.js';
import { Store } from './store.js';

export const HOSTS = ['h1', 'h2', 'h3'] as const;
export const STORE_HOST = 'store';

const DISK_SEED = 0x0d15c;
/** Longest time in which a peer may still be lost for something that is over. */
const AFTERMATH_MS = 600;

/** How the way to the store is just now. */
export interface StoreWeather {
  lostRequests: number;
  lostAnswers: number;
  /** Share of lost requests that are carried out late. */
  late: number;
}

/** Something that happens as soon as anybody enters a phase. */
export interface Ambush {
  readonly phase: Phase;
  spring(): void;
}

/** Everything there is, and what is written down of it. */
export class World {
  readonly product: Product;
  readonly random: Prng;
  /** Of all that has to do with disks: a VM without one runs as if there were none. */
  readonly diskRandom: Prng;
  readonly hasDisk: boolean;
  readonly #images = new Map<string, HostImage>();
  readonly schedule = new Schedule();
  readonly network: Network;
  readonly store: Store;
  readonly safety = new Safety();
  readonly judge = new Judge();
  readonly limits: Limits;
  readonly counts = new Map<string, number>();
  readonly weather: StoreWeather = { lostRequests: 0, lostAnswers: 0, late: 0 };
  readonly downHosts = new Set<string>();
  readonly frozenHosts = new Set<string>();
  readonly ambushes = new Set<Ambush>();
  incarnations: Incarnation[] = [];
  life = 0;
  cloneFailures = 0;
  /** Share of a primary's disk requests that fail. */
  diskErrors = 0;
  /** Guests ask nothing of their disks any more. */
  resting = false;
  /** Some guest was made to differ from its log: nobody knows what its disk must hold. */
  hadDivergence = false;
  /** How fast replay is, recording at full speed is 1: at ease, and when it is behind. */
  speed = { replay: 1.25, catchUp: 3 };
  /** Added to the time that each clone takes, while its stream moves. */
  cloneExtraMs = 0;
  /** Streams of clones stand still. */
  clonesHang = false;
  /** The store has lost something, at some time in this run: some outcomes then need a person. */
  storeLosses = 0;
  /** Share of a guest's steps in which it sends all it can. */
  bursts = 0;
  /** Faults that last. */
  lasting = 0;
  /** What was done to the pair may work on until then. */
  #quietFromMs = 0;
  readonly #trace: ((line: string) => void) | null;
  readonly #lives = new Map<string, number>();
  #names = 0;

  constructor(
    product: Product,
    seed: number,
    trace: ((line: string) => void) | null,
    hasDisk: boolean,
    durable?: boolean,
  ) {
    this.product = product;
    this.random = new Prng(seed);
    this.diskRandom = new Prng(seed ^ DISK_SEED);
    this.hasDisk = hasDisk;
    this.network = new Network(this.schedule, this.random);
    this.limits = product.makeLimits(SIM_LIMITS);
    this.#trace = trace;
    this.store = new Store(durable ?? this.random.chance(0.5), (epoch, nonce) => {
      this.trace(`store: epoch ${epoch} is won by ${this.#nameOf(nonce)}`);
      // What the dead of an earlier life still had under way means nothing: nobody is there to use it.
      if (this.#lives.get(nonce) === this.life) this.safety.win(epoch, nonce);
    });
  }

  get alive(): readonly Incarnation[] {
    return this.incarnations.filter((one) => !one.dead);
  }

  /** One owner, one armed backup, and nobody else; and either could win what both name. */
  get isProtected(): boolean {
    const owner = this.alive.find((one) => one.status?.phase === 'protected');
    const backup = this.alive.find((one) => one.status?.phase === 'armed');
    if (owner === undefined || backup === undefined || this.alive.length !== 2) return false;
    if (owner.switchedOff || backup.switchedOff) return false;
    return owner.status?.protection.word === 'Protected' && this.#isArmed(owner, backup);
  }

  /** What they say is one thing; what the store would answer counts. */
  #isArmed(owner: Incarnation, backup: Incarnation): boolean {
    const { record } = this.store;
    if (record?.winner !== null || !record.claimable) return false;
    const named = record.primary === owner.nonce && record.backup === backup.nonce;
    return named && [owner, backup].every((one) => one.status?.epoch === record.epoch);
  }

  /** Something was done to the pair, or undone: it may work on for so long. */
  unquiet(forMs = AFTERMATH_MS): void {
    this.#quietFromMs = Math.max(this.#quietFromMs, this.schedule.now + forMs);
  }

  /** Protected, and nothing that was done to it works on. */
  get isWhole(): boolean {
    if (this.lasting > 0 || this.schedule.now < this.#quietFromMs || !this.isProtected) return false;
    return this.alive.every((one) => !one.frozen && !one.deaf && !one.stuck && !one.machine.diverged);
  }

  hostUp(host: string): boolean {
    return !this.downHosts.has(host);
  }

  isHostFrozen(host: string): boolean {
    return this.frozenHosts.has(host);
  }

  trace(line: string): void {
    this.#trace?.(`${this.schedule.now.toFixed(1).padStart(9)}  ${line}`);
  }

  get traced(): boolean {
    return this.#trace !== null;
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  start(host: string, how: ColdStart | Incarnation): Incarnation {
    this.#names += 1;
    const name = `${String.fromCharCode(64 + ((this.#names - 1) % 26) + 1)}${this.#names}@${host}`;
    const one = new Incarnation(this, name, host, how);
    this.incarnations = [...this.alive, one];
    this.#lives.set(one.nonce, one.life);
    const what = how instanceof Incarnation ? `backup of ${how.name}` : `recorder (${how.kind})`;
    this.trace(`${name} starts as ${what}, nonce ${one.nonce.slice(0, 6)}`);
    one.start();
    return one;
  }

  imageOf(host: string): HostImage {
    const found = this.#images.get(host) ?? new HostImage();
    this.#images.set(host, found);
    return found;
  }

  /** The host whose image is the disk; null: none has ever been used. */
  get hostOfDisk(): string | null {
    const images = HOSTS.map((host) => ({ host, record: this.imageOf(host).record }));
    return this.product.disk.byAge(images)[0]?.host ?? null;
  }

  newLife(): void {
    this.life += 1;
    this.safety.newLife();
  }

  otherEnd(one: Incarnation, connection: Connection): Incarnation | null {
    return this.alive.find((other) => other !== one && other.holds(connection)) ?? null;
  }

  // ---- the way to the store and back ----

  lease(who: Incarnation, id: number, request: LeaseRequest): void {
    const timeoutMs = this.limits.leaseTimeoutMs;
    let answered = false;
    const answer = (event: Parameters<Incarnation['hand']>[0]): void => {
      if (answered) return;
      answered = true;
      who.hand(event);
    };
    this.schedule.after(timeoutMs, () => {
      answer({ type: 'leaseAnswer', id, answer: { op: request.op, result: 'unknown', reason: 'timeout' } });
    });
    this.#toStore(who, request, (result) => {
      if (this.random.chance(this.weather.lostAnswers)) return;
      this.schedule.after(this.network.delay(), () => {
        if (this.network.isCut(STORE_HOST, who.host) || answered) return;
        if (request.op === 'claim' && 'result' in result && result.result === 'won')
          this.safety.told(who.nonce);
        answer({ type: 'leaseAnswer', id, answer: result });
      });
    });
  }

  #toStore(who: Incarnation, request: LeaseRequest, then: (answer: ReturnType<Store['ask']>) => void): void {
    const { run } = this.store;
    const lost =
      !this.store.up ||
      this.network.isCut(who.host, STORE_HOST) ||
      this.random.chance(this.weather.lostRequests);
    const late = lost && this.random.chance(this.weather.late);
    if (lost && !late) return;
    const delay = late ? this.random.between(50, 1_500) : this.network.delay();
    this.schedule.after(delay, () => {
      // A request does not outlive the life of the store that it was made to.
      if (!this.store.up || this.store.run !== run) return;
      const answer = this.store.ask(request);
      if (this.traced && request.op !== 'peek') {
        const { result } = answer;
        const why = 'reason' in answer ? ` ${answer.reason}` : '';
        this.trace(`store: ${request.op} of ${who.name}${late ? ' (late)' : ''}: ${result}${why}`);
      }
      this.count(`${request.op} ${answer.result}`);
      then(answer);
    });
  }

  // ---- what the checks are told ----

  watch(who: Incarnation, effect: Effect): void {
    if (this.traced) this.#traceEffect(who, effect);
    this.safety.effect(who, effect);
  }

  check(who: Incarnation): void {
    if (!who.dead) this.safety.bounds(who);
  }

  statusChanged(who: Incarnation, before: Status | null): void {
    const { phase, role } = who.core.status;
    if (phase !== before?.phase) this.#entered(phase);
    if (before?.role === 'backup' && role === 'primary') this.#tookOver(who);
    this.safety.owners(this.incarnations);
  }

  #entered(phase: Phase): void {
    this.count(`phase ${phase}`);
    for (const ambush of this.ambushes) {
      if (ambush.phase !== phase) continue;
      this.ambushes.delete(ambush);
      ambush.spring();
    }
  }

  #tookOver(who: Incarnation): void {
    this.count('failovers');
    this.safety.wentLive(who);
  }

  seen(who: Incarnation, output: Output, head: number, limit: ReleaseLimit): void {
    if (who.life !== this.life) this.violated(`${who.name} of an earlier life releases an output`);
    this.count(limit.by === 'ack' ? 'outputs released by ack' : 'outputs released by owner');
    this.safety.released(who, output, head, limit);
  }

  violated(sentence: string): never {
    throw new Violation(sentence);
  }

  #traceEffect(who: Incarnation, effect: Effect): void {
    if (effect.type === 'lease' && effect.request.op !== 'peek') {
      this.trace(`${who.name} asks ${JSON.stringify(effect.request)}`);
    } else if (effect.type === 'send' && !['ack', 'beat', 'digest', 'released'].includes(effect.frame.type)) {
      this.trace(`${who.name} sends ${JSON.stringify(effect.frame)}`);
    } else if (['promote', 'startClone', 'pace', 'closeLink', 'end', 'dial'].includes(effect.type)) {
      this.trace(`${who.name} -> ${JSON.stringify(effect)}`);
    }
  }

  #nameOf(nonce: string): string {
    return this.incarnations.find((one) => one.nonce === nonce)?.name ?? nonce.slice(0, 6);
  }
}
