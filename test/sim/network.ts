// SPDX-License-Identifier: Apache-2.0
import type { Frame } from '../../sidecar/protocol/frames.js';
import type { LogEvent } from './machine.js';
import type { Prng } from './prng.js';
import type { Schedule } from './schedule.js';

/** What a connection carries. Log travels beside frames, as between the real I/O sides. */
export type Message =
  | { readonly kind: 'frame'; readonly frame: Frame }
  | {
      readonly kind: 'log';
      readonly from: number;
      readonly to: number;
      readonly end: boolean;
      readonly events: readonly LogEvent[];
    }
  | { readonly kind: 'copy'; readonly what: CopyPart };

/** Of the connection by which a new backup gets the disk's image. */
export type CopyPart =
  | { readonly type: 'block'; readonly block: number; readonly values: readonly number[] }
  | { readonly type: 'want'; readonly block: number }
  | { readonly type: 'end' }
  | { readonly type: 'whole' };

/** One end of a connection. */
export interface Endpoint {
  readonly host: string;
  /** The kernel has something for this process; it may be frozen and look later. */
  arrives(what: () => void, by: Connection): void;
}

interface Direction {
  readonly queue: { readonly at: number; readonly deliver: () => void }[];
  lastAt: number;
}

/** TCP as a process sees it: in order, whole or not at all, late as it pleases. */
export class Connection {
  readonly #net: Network;
  readonly #ends: readonly [Endpoint, Endpoint];
  readonly #ways: readonly [Direction, Direction];
  readonly #handlers: [ConnectionHandler | null, ConnectionHandler | null] = [null, null];
  readonly #open: [boolean, boolean] = [true, true];
  /** The side that dialled has said hello. */
  heard = false;

  constructor(net: Network, dialler: Endpoint, listener: Endpoint) {
    this.#net = net;
    this.#ends = [dialler, listener];
    this.#ways = [
      { queue: [], lastAt: 0 },
      { queue: [], lastAt: 0 },
    ];
  }

  attach(side: 0 | 1, handler: ConnectionHandler): void {
    this.#handlers[side] = handler;
  }

  isOpen(side: 0 | 1): boolean {
    return this.#open[side];
  }

  send(side: 0 | 1, message: Message): void {
    if (!this.#open[side]) return;
    if (message.kind === 'frame' && message.frame.type === 'hello') this.heard = true;
    this.#enqueue(side, () => {
      const other = (1 - side) as 0 | 1;
      if (this.#open[other]) this.#handlers[other]?.message(message);
    });
  }

  /** This end is gone: at once for itself, and after all that was sent for the other one. */
  close(side: 0 | 1): void {
    if (!this.#open[side]) return;
    this.#open[side] = false;
    this.#enqueue(side, () => {
      this.#down((1 - side) as 0 | 1, 'closed by peer');
    });
  }

  /** The host vanished: nobody says anything. */
  vanish(side: 0 | 1): void {
    this.#open[side] = false;
    this.#ways[side].queue.length = 0;
  }

  /** Broken by something in between; each end hears of it if it can be reached at all. */
  reset(): void {
    for (const way of this.#ways) way.queue.length = 0;
    for (const side of [0, 1] as const) {
      this.#enqueue((1 - side) as 0 | 1, () => {
        this.#down(side, 'reset');
      });
    }
  }

  get dead(): boolean {
    return !this.#open[0] && !this.#open[1];
  }

  /** Delivers what has arrived on both ways, as far as they are not cut. */
  pump(): void {
    for (const side of [0, 1] as const) this.#pumpWay(side);
  }

  joins(a: string, b: string): boolean {
    const [x, y] = [this.#ends[0].host, this.#ends[1].host];
    return (x === a && y === b) || (x === b && y === a);
  }

  #enqueue(side: 0 | 1, deliver: () => void): void {
    const way = this.#ways[side];
    const at = Math.max(way.lastAt, this.#net.schedule.now + this.#net.delay());
    way.lastAt = at;
    way.queue.push({ at, deliver });
    this.#net.schedule.after(at - this.#net.schedule.now, () => {
      this.#pumpWay(side);
    });
  }

  #pumpWay(side: 0 | 1): void {
    const way = this.#ways[side];
    const from = this.#ends[side];
    const to = this.#ends[1 - side] as Endpoint;
    if (this.#net.isCut(from.host, to.host)) return;
    while (way.queue.length > 0 && (way.queue[0]?.at ?? 0) <= this.#net.schedule.now) {
      const { deliver } = way.queue.shift() as { deliver: () => void };
      to.arrives(deliver, this);
    }
  }

  #down(side: 0 | 1, detail: string): void {
    if (!this.#open[side]) return;
    this.#open[side] = false;
    this.#handlers[side]?.down(detail);
  }
}

export interface ConnectionHandler {
  message(message: Message): void;
  down(detail: string): void;
}

/** Hosts, the cuts between them, and how slow it all is just now. */
export class Network {
  readonly schedule: Schedule;
  readonly #random: Prng;
  readonly #cuts = new Map<string, number>();
  #connections: Connection[] = [];
  /** Longest delay of one message, ms. */
  delayMaxMs = 1;

  constructor(schedule: Schedule, random: Prng) {
    this.schedule = schedule;
    this.#random = random;
  }

  delay(): number {
    return this.#random.between(0.1, this.delayMaxMs);
  }

  isCut(from: string, to: string): boolean {
    return (this.#cuts.get(`${from}>${to}`) ?? 0) > 0;
  }

  /** Cuts may overlap; each is healed by itself. */
  cut(from: string, to: string): () => void {
    const key = `${from}>${to}`;
    this.#cuts.set(key, (this.#cuts.get(key) ?? 0) + 1);
    return () => {
      this.#cuts.set(key, (this.#cuts.get(key) ?? 0) - 1);
      for (const connection of this.#connections) connection.pump();
    };
  }

  connect(dialler: Endpoint, listener: Endpoint): Connection {
    const connection = new Connection(this, dialler, listener);
    this.#connections = this.#connections.filter((other) => !other.dead);
    this.#connections.push(connection);
    return connection;
  }

  between(a: string, b: string): readonly Connection[] {
    return this.#connections.filter((connection) => !connection.dead && connection.joins(a, b));
  }
}
