// SPDX-License-Identifier: Apache-2.0
import { AddonError, explained, type Meanings } from './errors.js';
import { checkBytes, checkFunction, checkInteger, checkLsn, checkPath } from './check.js';
import { native, type RingHandle, type WatchHandle } from './native.js';

const { ringBytesMin, ringBytesMax } = native.logConstants();

export const RING_BYTES_MIN = ringBytesMin;
export const RING_BYTES_MAX = ringBytesMax;

/** How QEMU will be started on the ring: `enum ftlog_start`. */
export type RingStart = 'record' | 'replay';
const START_WORDS: Readonly<Record<RingStart, number>> = { record: 1, replay: 2 };

/** What the shim is doing: `enum ftlog_state`, in its order. */
export type RingState = 'none' | 'recording' | 'waiting' | 'replaying' | 'live' | 'failed';
const STATES: readonly RingState[] = ['none', 'recording', 'waiting', 'replaying', 'live', 'failed'];

/** Progress of a clone on the source: `enum ftlog_clone`, in its order. */
export type CloneState = 'none' | 'quiescing' | 'point' | 'failed';
const CLONE_STATES: readonly CloneState[] = ['none', 'quiescing', 'point', 'failed'];

export interface RingSettings {
  /** A power of two from RING_BYTES_MIN to RING_BYTES_MAX; all of it is taken from the file system at once. */
  readonly ringBytes: number;
  readonly start: RingStart;
  /** The guest is held when beat() was not called for this long; 0: never. */
  readonly beatTimeoutMs: number;
  /** A clone that has not come to rest by then is given up. */
  readonly quiesceMsMax: number;
}

/** The control page at one moment; the fields are those of ftlog.h. LSNs are plain numbers. */
export interface RingSnapshot {
  readonly start: RingStart;
  readonly ringBytes: number;
  readonly beatTimeoutMs: number;
  readonly quiesceMsMax: number;
  readonly qemuPid: number;
  readonly logVersion: number;
  readonly qemuVersion: string;
  readonly state: RingState;
  readonly errorCode: number;
  readonly errorName: string;
  readonly errorLsn: number;
  readonly errorText: string;
  readonly consumed: number;
  readonly liveLsn: number;
  /** CLOCK_MONOTONIC, comparable with monotonicNs(). */
  readonly liveTimeNs: bigint;
  readonly netFrames: number;
  readonly cloneState: CloneState;
  readonly cloneAttempt: number;
  readonly cloneLsn: number;
  readonly cloneFrames: number;
  readonly qemuBeat: number;
  readonly icount: bigint;
  readonly ringWaits: number;
  readonly heldMs: number;
  readonly produced: number;
  readonly reclaimed: number;
  readonly retain: boolean;
  readonly promote: boolean;
  readonly kill: boolean;
  readonly pacePermille: number;
  readonly sidecarBeat: number;
  /** How long the guest stood still at its last clone point, microseconds. */
  readonly clonePauseUs: number;
  /** Packets for the guest that this QEMU has logged since it began to record. */
  readonly netLogged: number;
}

const RING_FIELDS = [
  'start',
  'ringBytes',
  'beatTimeoutMs',
  'quiesceMsMax',
  'qemuPid',
  'logVersion',
  'state',
  'errorCode',
  'errorLsn',
  'consumed',
  'liveLsn',
  'liveTimeNs',
  'netFrames',
  'cloneState',
  'cloneAttempt',
  'cloneLsn',
  'cloneFrames',
  'qemuBeat',
  'icount',
  'ringWaits',
  'heldMs',
  'produced',
  'reclaimed',
  'retain',
  'promote',
  'kill',
  'pacePermille',
  'sidecarBeat',
  'toSidecarSeq',
  'toQemuSeq',
  'clonePauseUs',
  'netLogged',
] as const;
type RingField = (typeof RING_FIELDS)[number];

// The two lists are written by hand in two languages: a wrong order must not survive the first import.
if (native.ringFieldNames().join() !== RING_FIELDS.join())
  throw new AddonError('ADDON_MISSING', "the native add-on is of another version: run 'make -s -C native'");

const CLOSED_OR_READ_ONLY: Meanings = {
  RING_CLOSED: ['RING_CLOSED', 'it was closed before'],
  RING_READ_ONLY: ['RING_READ_ONLY', 'open it for writing to do this'],
};

const NO_SPACE = 'not enough room for the whole ring; free some, or ask for a smaller one';

const OPENING: Meanings = {
  EEXIST: ['RING_EXISTS', 'a file of that name is there; each QEMU gets a ring of its own'],
  ENOENT: ['RING_MISSING', 'no such file or folder'],
  ENOSPC: ['RING_NO_SPACE', NO_SPACE],
  EDQUOT: ['RING_NO_SPACE', NO_SPACE],
  EFBIG: ['RING_NO_SPACE', NO_SPACE],
  ENOMEM: ['RING_NO_SPACE', NO_SPACE],
  EACCES: ['RING_NOT_PERMITTED', 'this user may not open it'],
  EPERM: ['RING_NOT_PERMITTED', 'this user may not open it'],
  RING_CONTRACT: ['RING_CONTRACT', 'not a ring of this version'],
};

export interface WatchOptions {
  /** Two calls are at least this far apart. */
  readonly minIntervalUs: number;
}

const WATCH_INTERVAL_US_MAX = 1_000_000;

function safe(name: string, value: number): number {
  if (!Number.isSafeInteger(value)) throw new AddonError('RING_CORRUPT', `${name} is ${value}: no position`);
  return value;
}

function named<T>(name: string, names: readonly T[], index: number): T {
  const found = names[index];
  if (found === undefined) throw new AddonError('RING_CORRUPT', `${name} is ${index}: no such value`);
  return found;
}

/**
 * The file shared with one QEMU (native/ftlog/ftlog.h). Positions (LSN) are byte offsets of QEMU's log.
 * Every call after close() throws RING_CLOSED, except close() itself.
 */
export class Ring {
  readonly ringBytes: number;
  readonly #handle: RingHandle;
  readonly #path: string;
  readonly #slots = new BigUint64Array(RING_FIELDS.length);
  #data: Buffer | null = null;
  #watch: WatchHandle | null = null;
  #closed = false;

  private constructor(handle: RingHandle, path: string) {
    this.#handle = handle;
    this.#path = path;
    this.ringBytes = native.ringBytes(handle);
  }

  /**
   * Makes and fills the file, before QEMU starts.
   * @throws RING_EXISTS, RING_MISSING (its folder), RING_NO_SPACE, RING_NOT_PERMITTED, INVALID_ARGUMENT
   */
  static create(path: string, settings: RingSettings): Ring {
    checkPath('path', path);
    checkInteger('ringBytes', settings.ringBytes, RING_BYTES_MIN, RING_BYTES_MAX);
    if (!Number.isInteger(Math.log2(settings.ringBytes)))
      throw new AddonError('INVALID_ARGUMENT', `ringBytes must be a power of two, not ${settings.ringBytes}`);
    checkInteger('beatTimeoutMs', settings.beatTimeoutMs, 0, 0xffffffff);
    checkInteger('quiesceMsMax', settings.quiesceMsMax, 0, 0xffffffff);
    const { ringBytes, start, beatTimeoutMs, quiesceMsMax } = settings;
    const handle = explained(`ring ${path}`, OPENING, () =>
      native.ringCreate(path, ringBytes, START_WORDS[start], beatTimeoutMs, quiesceMsMax),
    );
    return new Ring(handle, path);
  }

  /** @throws RING_MISSING, RING_NOT_PERMITTED, RING_CONTRACT (not a ring, or of another version) */
  static open(path: string, options: { readonly readOnly: boolean }): Ring {
    checkPath('path', path);
    const handle = explained(`ring ${path}`, OPENING, () => native.ringOpen(path, options.readOnly));
    return new Ring(handle, path);
  }

  /** Stops the watch and takes the memory away from every view: they have length 0 from now on. */
  close(): void {
    this.unwatch();
    native.ringClose(this.#handle, this.#data === null ? null : (this.#data.buffer as ArrayBuffer));
    this.#data = null;
    this.#closed = true;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** LSN behind the last byte of the last complete write. */
  get produced(): number {
    return safe(
      'produced',
      this.#call(() => native.ringProduced(this.#handle)),
    );
  }

  /** Recording: packets for the guest in the log. Read it before `produced`: then they all lie below that. */
  get netLogged(): number {
    return safe(
      'netLogged',
      this.#call(() => native.ringNetLogged(this.#handle)),
    );
  }

  /** Replay: LSN of the first event not yet taken up by QEMU. */
  get consumed(): number {
    return safe(
      'consumed',
      this.#call(() => native.ringConsumed(this.#handle)),
    );
  }

  get state(): RingState {
    return named(
      'state',
      STATES,
      this.#call(() => native.ringState(this.#handle)),
    );
  }

  /** How many bytes append() would take now. */
  get room(): number {
    return this.#call(() => native.ringRoom(this.#handle));
  }

  /** @throws RING_CORRUPT when a field holds what cannot be */
  snapshot(): RingSnapshot {
    this.#call(() => native.ringRead(this.#handle, this.#slots));
    const [qemuVersion, errorText, errorName] = this.#call(() => native.ringTexts(this.#handle));
    const bigint = (field: RingField): bigint => this.#slots[RING_FIELDS.indexOf(field)] ?? 0n;
    const number = (field: RingField): number => safe(field, Number(bigint(field)));
    const flag = (field: RingField): boolean => bigint(field) !== 0n;
    return {
      start: number('start') === START_WORDS.record ? 'record' : 'replay',
      ringBytes: number('ringBytes'),
      beatTimeoutMs: number('beatTimeoutMs'),
      quiesceMsMax: number('quiesceMsMax'),
      qemuPid: number('qemuPid'),
      logVersion: number('logVersion'),
      qemuVersion,
      state: named('state', STATES, number('state')),
      errorCode: number('errorCode'),
      errorName,
      errorLsn: number('errorLsn'),
      errorText,
      consumed: number('consumed'),
      liveLsn: number('liveLsn'),
      liveTimeNs: bigint('liveTimeNs'),
      netFrames: number('netFrames'),
      cloneState: named('cloneState', CLONE_STATES, number('cloneState')),
      cloneAttempt: number('cloneAttempt'),
      cloneLsn: number('cloneLsn'),
      cloneFrames: number('cloneFrames'),
      qemuBeat: number('qemuBeat'),
      icount: bigint('icount'),
      ringWaits: number('ringWaits'),
      heldMs: number('heldMs'),
      produced: number('produced'),
      reclaimed: number('reclaimed'),
      retain: flag('retain'),
      promote: flag('promote'),
      kill: flag('kill'),
      pacePermille: number('pacePermille'),
      sidecarBeat: number('sidecarBeat'),
      clonePauseUs: number('clonePauseUs'),
      netLogged: number('netLogged'),
    };
  }

  /**
   * The log's bytes [from, to), without a copy: a view of shared memory that close() empties. The bytes stay what
   * they are only as long as QEMU may not overwrite them (retain and reclaim, or a replaying QEMU).
   * @throws RING_RANGE beyond the head or more than the ring; RING_LOG_LOST when overwritten already
   */
  view(from: number, to: number): Buffer {
    checkLsn('from', from);
    checkInteger('to', to, from, Number.MAX_SAFE_INTEGER);
    const produced = this.produced;
    if (to > produced) throw this.#error('RING_RANGE', `[${from}, ${to}) is beyond its head ${produced}`);
    if (from < produced - this.ringBytes)
      throw this.#error('RING_LOG_LOST', `position ${from} was overwritten (head ${produced})`);
    this.#data ??= Buffer.from(native.ringData(this.#handle));
    const at = from % this.ringBytes;
    return this.#data.subarray(at, at + (to - from));
  }

  /** Whether a view from `from` on still shows what it showed: for readers that nobody waits for. */
  holds(from: number): boolean {
    return from >= this.produced - this.ringBytes;
  }

  /**
   * Where the log begins in this ring: a clone's position. Before the first append, while QEMU waits for its load.
   * @throws RING_NOT_PRODUCER
   */
  begin(lsn: number): void {
    checkLsn('lsn', lsn);
    if (!this.#call(() => native.ringBegin(this.#handle, lsn)))
      throw this.#error('RING_NOT_PRODUCER', 'log cannot begin here: it has begun, or QEMU makes it itself');
  }

  /**
   * Puts received log behind what is there: all of it or nothing. Wakes QEMU.
   * @returns the new head
   * @throws RING_FULL (wait until QEMU has consumed more), RING_NOT_PRODUCER (it records, or was promoted)
   */
  append(bytes: Uint8Array): number {
    checkBytes('bytes', bytes, 0, this.ringBytes);
    const produced = this.#call(() => native.ringAppend(this.#handle, bytes));
    if (produced === -1)
      throw this.#error(
        'RING_FULL',
        `no room for ${bytes.byteLength} bytes; wait until QEMU has consumed more`,
      );
    if (produced === -2)
      throw this.#error('RING_NOT_PRODUCER', 'QEMU makes this log itself, or was told to go live');
    return safe('produced', produced);
  }

  /** Recording: bytes below may be overwritten. Only ever moves forward. @throws RING_RANGE beyond the head */
  reclaim(lsn: number): void {
    checkLsn('lsn', lsn);
    if (!this.#call(() => native.ringReclaim(this.#handle, lsn)))
      throw this.#error('RING_RANGE', `cannot give back up to ${lsn}: beyond its head`);
  }

  /** Recording: true makes QEMU wait for room, false lets it overwrite. */
  setRetain(retain: boolean): void {
    this.#call(() => native.ringSetRetain(this.#handle, retain ? 1 : 0));
  }

  /** vCPU time to take away, 0 (none) to 1000 (held). */
  setPace(permille: number): void {
    checkInteger('permille', permille, 0, 1000);
    this.#call(() => native.ringSetPace(this.#handle, permille));
  }

  /** Replay: go live when the log is used up. From now on append() throws. */
  promote(): void {
    this.#call(() => native.ringSetPromote(this.#handle, 1));
  }

  /** QEMU ends at once and flushes nothing. */
  kill(): void {
    this.#call(() => native.ringSetKill(this.#handle, 1));
  }

  beat(): void {
    this.#call(() => native.ringBeat(this.#handle));
  }

  /**
   * Calls `onChange` once now and then whenever QEMU changed something; changes that come while it runs, or
   * within minIntervalUs, make one call. Keeps the process alive until unwatch() or close().
   * @throws RING_WATCHED when it is watched already, RING_READ_ONLY
   */
  watch(options: WatchOptions, onChange: () => void): void {
    checkInteger('minIntervalUs', options.minIntervalUs, 0, WATCH_INTERVAL_US_MAX);
    checkFunction('onChange', onChange);
    if (this.#watch !== null) throw this.#error('RING_WATCHED', 'one watch a ring; call unwatch() first');
    this.#watch = this.#call(() => native.watchStart(this.#handle, options.minIntervalUs, onChange));
  }

  /** No call of onChange begins after this. */
  unwatch(): void {
    if (this.#watch !== null) native.watchStop(this.#watch);
    this.#watch = null;
  }

  #call<T>(call: () => T): T {
    return explained(`ring ${this.#path}`, CLOSED_OR_READ_ONLY, call);
  }

  #error(code: AddonError['code'], sentence: string): AddonError {
    return new AddonError(code, `ring ${this.#path}: ${sentence}`);
  }
}
