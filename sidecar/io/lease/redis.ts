// SPDX-License-Identifier: Apache-2.0
/**
 * The lease on a real Redis (7.0 or newer), over one warm connection.
 *
 * What the server must be for a lease to survive its own restart: `appendonly yes`, `appendfsync always`,
 * `maxmemory-policy noeviction`, no replica, nor one that was there and may come back (`repl_backlog_active` 0). On any
 * other server the lease still never makes two owners, but after a restart or failover of the server claims stay
 * UNKNOWN until the pair is armed anew.
 *
 * server.ts has the settings and the least ACL.
 *
 * `+config|get` may be left out, and CONFIG may be renamed away; the server then counts as not durable.
 */
import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { Redis, type RedisOptions } from 'ioredis';
import type { LeaseAnswer, LeaseRequest } from '../../protocol/lease/messages.js';
import type { LeaseTrouble } from '../../protocol/reasons.js';
import type { StoreId } from '../../protocol/types.js';
import type { LeaseRemoval, LeaseStore } from './port.js';
import { LeaseReplyError, answerOf, parseReply, type LeaseReply } from './reply.js';
import { LEASE_SCRIPT, type LeaseOp } from './scripts.js';

export interface LeaseTls {
  /** PEM texts. */
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
  /** Name that the server's certificate must carry; the host by default. */
  readonly servername?: string;
}

export interface LeaseOptions {
  readonly vm: string;
  readonly host?: string;
  readonly port?: number;
  /** A unix socket, instead of host and port. */
  readonly socketPath?: string;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: LeaseTls;
  readonly db?: number;
  readonly keyPrefix?: string;
  /** Per call. Longer than a slow disk's fsync, shorter than what a failover can bear. */
  readonly callTimeoutMs?: number;
  readonly connectTimeoutMs?: number;
  readonly reconnectMinMs?: number;
  readonly reconnectMaxMs?: number;
}

export const LEASE_DEFAULTS = {
  host: '127.0.0.1',
  port: 6379,
  keyPrefix: 'lockstep:',
  callTimeoutMs: 200,
  connectTimeoutMs: 1000,
  reconnectMinMs: 20,
  reconnectMaxMs: 500,
} as const;

/** Requests under way at once: a caller that repeats while the store is slow gets `unknown`, not a queue. */
const CALLS_MAX = 8;
const SCRIPT_SHA1 = createHash('sha1').update(LEASE_SCRIPT).digest('hex');
const NUMBER_OF_KEYS = 1;
/**
 * Answers of a server that is not the one to ask: a replica, or one that still reads its files. Behind a name or an
 * address that moves, the next connection may find the right one.
 */
const OTHER_SERVER = /^(READONLY|MASTERDOWN|LOADING)\b/;
/** How an error of the server begins, and what that means to people. */
const ERRORS: readonly (readonly [RegExp, LeaseTrouble])[] = [
  [/^(WRONGPASS|NOAUTH|ERR invalid password|ERR .*AUTH)\b/, 'wrongPassword'],
  [/\bNOPERM\b|^ACL failure|can't run this command or subcommand/, 'notAllowed'],
  [/^(READONLY|NOREPLICAS)\b/, 'readOnly'],
  [/\bOOM\b/, 'outOfMemory'],
  [/^MISCONF\b/, 'diskError'],
];
/** ioredis words its own command time-out so; it also guards the handshake, which this file does not see. */
const COMMAND_TIMED_OUT = 'Command timed out';

/** The key of a VM's record. The braces keep all keys of a VM in one slot of a cluster. */
export function leaseKey(keyPrefix: string, vm: string): string {
  return `${keyPrefix}{${vm}}`;
}

/**
 * `up`: connected, asked once, ready to answer in one round trip. `down`: why not. `trouble`: a request was answered
 * `unknown` for this reason, not told again while it stays the same; the detail is for people.
 */
export interface RedisLeaseEvents {
  up: [];
  down: [detail: string];
  trouble: [reason: LeaseTrouble, detail: string];
}

/** A request that got no certain answer. */
class Trouble extends Error {
  constructor(
    readonly reason: LeaseTrouble,
    detail: string,
  ) {
    super(detail);
  }
}

export class RedisLease extends EventEmitter<RedisLeaseEvents> implements LeaseStore, LeaseRemoval {
  readonly #redis: Redis;
  readonly #keyPrefix: string;
  readonly #key: string;
  readonly #callTimeoutMs: number;
  /** Life of the server for which `appendfsync always` without replicas was seen, else ''. */
  #durableRun = '';
  #callsUnderWay = 0;
  #lastError = 'not connected yet';
  #up = false;
  /** Asked once since it was connected: until then it is not known whether this life of the server is durable. */
  #isWarm = false;
  /** Connections in a row that were dropped for `OTHER_SERVER`: ioredis' own count begins anew with each that stands. */
  #wrongServers = 0;
  /** The trouble that was told last, until a certain answer comes. */
  #told = '';

  constructor(options: LeaseOptions) {
    super();
    this.#keyPrefix = options.keyPrefix ?? LEASE_DEFAULTS.keyPrefix;
    this.#key = leaseKey(this.#keyPrefix, options.vm);
    this.#callTimeoutMs = options.callTimeoutMs ?? LEASE_DEFAULTS.callTimeoutMs;
    const pauseMs = reconnectPause(options);
    const retryStrategy = (attempt: number): number => pauseMs(Math.max(attempt, this.#wrongServers));
    this.#redis = new Redis({ ...redisOptions(options), retryStrategy, replyMapping: 'legacy' });
    this.#redis.on('ready', () => this.#warmUp());
    this.#redis.on('close', () => this.#markDown(this.#lastError));
    this.#redis.on('error', (error: Error) => {
      this.#lastError = error.message;
    });
  }

  get isUp(): boolean {
    return this.#up;
  }

  /** Why it is not up, in the words of what failed last. */
  get lastError(): string {
    return this.#lastError;
  }

  ask(request: LeaseRequest): Promise<LeaseAnswer> {
    return this.#ask(this.#key, request);
  }

  remove(store: StoreId | null): Promise<'ok' | 'foreignStore' | 'unknown'> {
    return this.#remove(this.#key, store);
  }

  /** The lease of another VM in the same store, over this connection, whose end it shares. */
  of(vm: string): LeaseStore & LeaseRemoval {
    const key = leaseKey(this.#keyPrefix, vm);
    return {
      ask: (request) => this.#ask(key, request),
      remove: (store) => this.#remove(key, store),
    };
  }

  async #ask(key: string, request: LeaseRequest): Promise<LeaseAnswer> {
    try {
      if (!this.#isWarm) throw this.#notConnected();
      const answer = answerOf(request, await this.#call(key, request.op, argumentsOf(request)));
      this.#markUp();
      if (answer.result === 'unknown')
        this.#tell(new Trouble(answer.reason, `${request.op}: ${answer.reason}`));
      else this.#told = '';
      return answer;
    } catch (error) {
      const { reason } = this.#tell(this.#troubleOf(error as Error));
      return { op: request.op, result: 'unknown', reason };
    }
  }

  async #remove(key: string, store: StoreId | null): Promise<'ok' | 'foreignStore' | 'unknown'> {
    try {
      const reply = await this.#call(key, 'remove', [store ?? '']);
      return reply.result === 'ok' ? 'ok' : 'foreignStore';
    } catch (error) {
      this.#tell(this.#troubleOf(error as Error));
      return 'unknown';
    }
  }

  /** Ends the connection for good; what is asked after it is unknown. Twice is fine. */
  close(): void {
    this.#lastError = 'closed by this side';
    this.#redis.disconnect();
  }

  /** Has the server keep the script, and asks whether it is durable, before anybody is in a hurry. */
  #warmUp(): void {
    this.#isWarm = false;
    this.#call(this.#key, 'peek', []).then(
      () => {
        this.#isWarm = true;
        this.#markUp();
      },
      (error: unknown) => {
        this.#isWarm = true;
        this.#tell(this.#troubleOf(error as Error));
      },
    );
  }

  #markUp(): void {
    if (this.#up || this.#redis.status !== 'ready') return;
    this.#up = true;
    this.emit('up');
  }

  #markDown(detail: string): void {
    if (!this.#up) return;
    this.#up = false;
    this.emit('down', detail);
  }

  /** @throws Trouble, or what the client throws */
  async #call(key: string, op: LeaseOp, args: string[]): Promise<LeaseReply> {
    if (this.#redis.status !== 'ready') throw this.#notConnected();
    if (this.#callsUnderWay >= CALLS_MAX)
      throw new Trouble('timeout', `${CALLS_MAX} requests under way already`);
    this.#callsUnderWay += 1;
    try {
      return await this.#withinTime(this.#roundTrip(key, op, args));
    } finally {
      this.#callsUnderWay -= 1;
    }
  }

  async #withinTime<T>(answer: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new Trouble('timeout', this.#dropSlowConnection())),
        this.#callTimeoutMs,
      );
    });
    try {
      return await Promise.race([answer, tooLate]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What is under way on this connection stays unknown; a new one starts clean. */
  #dropConnection(why: string): string {
    this.#lastError = why;
    this.#redis.stream.destroy();
    return why;
  }

  #dropWrongServer(why: string): void {
    this.#wrongServers += 1;
    this.#dropConnection(why);
  }

  #dropSlowConnection(): string {
    return this.#dropConnection(`no answer within ${this.#callTimeoutMs} ms`);
  }

  async #roundTrip(key: string, op: LeaseOp, args: string[]): Promise<LeaseReply> {
    const believedRun = this.#durableRun;
    const scriptArgs = [key, believedRun, op, ...args];
    // Both are written at once: the setting is the one that held when the script ran.
    const settings = this.#askSyncedAlways();
    const script = this.#redis.evalsha(SCRIPT_SHA1, NUMBER_OF_KEYS, ...scriptArgs);
    const [synced, answered] = await Promise.allSettled([settings, script]);
    if (synced.status === 'rejected') throw synced.reason;
    const raw =
      answered.status === 'fulfilled' ? answered.value : await this.#evalAfter(answered.reason, scriptArgs);
    const reply = parseReply(raw);
    this.#wrongServers = 0;
    this.#durableRun = synced.value ? reply.run : '';
    const believedInVain = believedRun !== '' && believedRun === reply.run && !synced.value;
    if (believedInVain && (reply.result === 'won' || reply.result === 'ok')) {
      throw new Trouble('notDurable', 'appendfsync is not `always` any more');
    }
    return reply;
  }

  async #evalAfter(reason: unknown, scriptArgs: string[]): Promise<unknown> {
    if (!(reason instanceof Error) || !reason.message.startsWith('NOSCRIPT')) throw reason;
    return this.#redis.eval(LEASE_SCRIPT, NUMBER_OF_KEYS, ...scriptArgs);
  }

  /** True when every answered write is on disk and no replica is part of the installation. */
  async #askSyncedAlways(): Promise<boolean> {
    try {
      const pairs = await this.#redis.config('GET', 'appendfsync', 'min-replicas-to-write');
      const valueOf = (name: string): string | undefined => pairs[pairs.indexOf(name) + 1];
      return valueOf('appendfsync') === 'always' && valueOf('min-replicas-to-write') === '0';
    } catch (error) {
      // It does not say (not allowed, renamed away, not there on a managed server): never taken for durable.
      if (isErrorReply(error)) return false;
      throw error;
    }
  }

  /** A server that lets nobody in ends the connection: what it said then is the reason. */
  #notConnected(): Trouble {
    const reason = meaningOf(this.#lastError);
    return new Trouble(
      reason === 'wrongPassword' || reason === 'notAllowed' ? reason : 'unreachable',
      this.#lastError,
    );
  }

  #tell(trouble: Trouble): Trouble {
    const text = `${trouble.reason} ${trouble.message}`;
    if (text !== this.#told) this.emit('trouble', trouble.reason, trouble.message);
    this.#told = text;
    return trouble;
  }

  #troubleOf(error: Error): Trouble {
    if (error instanceof Trouble) return error;
    if (error instanceof LeaseReplyError) return new Trouble('damaged', error.message);
    if (error.message === COMMAND_TIMED_OUT) return new Trouble('timeout', this.#dropSlowConnection());
    if (error.name === 'MaxRetriesPerRequestError') {
      return new Trouble('unreachable', `the connection was lost: ${this.#lastError}`);
    }
    if (OTHER_SERVER.test(error.message)) this.#dropWrongServer(error.message);
    if (isErrorReply(error)) return new Trouble(meaningOf(error.message), error.message);
    return new Trouble('unreachable', error.message);
  }
}

const meaningOf = (error: string): LeaseTrouble =>
  ERRORS.find(([pattern]) => pattern.test(error))?.[1] ?? 'storeError';

/** The server has answered, with an error: the connection is sound. */
function isErrorReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

/** ARGV from 3 on; scripts.ts has the order of each operation. */
function argumentsOf(request: LeaseRequest): string[] {
  switch (request.op) {
    case 'found':
      return [request.store, request.nonce];
    case 'refound':
      return [String(request.expectEpoch), request.nonce];
    case 'reopen':
      return [request.newStore];
    case 'arm':
      return [request.store, request.run, String(request.epoch), request.primary, request.backup];
    case 'claim':
      return [request.store, String(request.epoch), request.nonce];
    case 'peek':
      return [];
  }
}

/** Pause before the nth attempt in a row, ms: doubles up to its maximum. */
function reconnectPause(options: LeaseOptions): (attempt: number) => number {
  const minMs = options.reconnectMinMs ?? LEASE_DEFAULTS.reconnectMinMs;
  const maxMs = options.reconnectMaxMs ?? LEASE_DEFAULTS.reconnectMaxMs;
  return (attempt) => Math.min(minMs * 2 ** Math.min(attempt - 1, 16), maxMs);
}

function redisOptions(options: LeaseOptions): RedisOptions {
  const result: RedisOptions = {
    protocol: 2,
    db: options.db ?? 0,
    disableClientInfo: true,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: options.callTimeoutMs ?? LEASE_DEFAULTS.callTimeoutMs,
    connectTimeout: options.connectTimeoutMs ?? LEASE_DEFAULTS.connectTimeoutMs,
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(options.password === undefined ? {} : { password: options.password }),
    ...(options.tls === undefined ? {} : { tls: { ...options.tls, minVersion: 'TLSv1.2' } }),
  };
  if (options.socketPath !== undefined) return { ...result, path: options.socketPath };
  return { ...result, host: options.host ?? LEASE_DEFAULTS.host, port: options.port ?? LEASE_DEFAULTS.port };
}
