// SPDX-License-Identifier: Apache-2.0
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import {
  AddonError,
  EVENT_BYTES_MAX,
  eventLength,
  LOG_HEADER_BYTES,
  logVersionKnown,
  Ring,
  SCAN_WORDS,
  scanEvents,
} from '../../../native/addon/index.js';
import { LogError } from './errors.js';

/** Bytes looked at in one go; any whole event fits. */
export const WINDOW_BYTES = 1 << 20;

/** A log, or what is left of one. Positions are LSNs. */
export interface LogSource {
  readonly path: string;
  /** Where the first event that is read begins. */
  readonly begin: number;
  /** Behind the last byte that was there when the log was opened. */
  readonly end: number;
  /** False when `begin` was found by trying where events can be read from, and may not be a real beginning. */
  readonly beginKnown: boolean;
  /** Up to WINDOW_BYTES bytes from `lsn` on, fewer only at the end; valid until the next read. @throws LOG_READ */
  read(lsn: number): Uint8Array;
  close(): void;
}

function readFailed(path: string, error: unknown): LogError {
  return new LogError('LOG_READ', `${path}: ${error instanceof Error ? error.message : String(error)}`, null);
}

class FileSource implements LogSource {
  readonly beginKnown = true;
  readonly end: number;
  readonly #window = Buffer.allocUnsafe(WINDOW_BYTES);

  constructor(
    readonly path: string,
    private readonly fd: number,
    readonly begin: number,
    /** LSN of the file's first byte. */
    private readonly base: number,
  ) {
    this.end = Math.max(begin, base + fstatSync(fd).size);
  }

  read(lsn: number): Uint8Array {
    const wanted = Math.max(0, Math.min(WINDOW_BYTES, this.end - lsn));
    let have = 0;
    try {
      while (have < wanted) {
        const bytes = readSync(this.fd, this.#window, have, wanted - have, lsn - this.base + have);
        if (bytes === 0) break;
        have += bytes;
      }
    } catch (error) {
      throw readFailed(this.path, error);
    }
    return this.#window.subarray(0, have);
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** So often a ring that QEMU is writing is looked at anew before it counts as too fast to be read. */
const COPY_TRIES = 8;

/**
 * A ring as it was at one moment. It is copied at once (it is in memory, and of bounded size): what is read piece by piece
 * from one in use is overwritten before anybody has read it.
 */
class RingSource implements LogSource {
  readonly end: number;
  readonly begin: number;
  readonly beginKnown: boolean;
  readonly #copy: Buffer;
  /** LSN of the copy's first byte. */
  readonly #base: number;

  constructor(
    readonly path: string,
    ring: Ring,
  ) {
    const { cloneLsn, consumed, liveLsn, reclaimed, start, state } = ring.snapshot();
    const isLive = start === 'replay' && state === 'live';
    // A replayed ring begins at `reclaimed`, until the VM is live and gives back what its own backup has received.
    const begins = start === 'replay' && (!isLive || reclaimed <= liveLsn) ? reclaimed : null;
    // Below a clone's position nothing was ever written; where that was is forgotten, but it is not behind `liveLsn`.
    const floor = begins ?? (isLive ? liveLsn : LOG_HEADER_BYTES);
    const { base, bytes } = copyOf(path, ring, Math.max(LOG_HEADER_BYTES, floor));
    this.#base = base;
    this.#copy = bytes;
    this.end = base + bytes.byteLength;
    const boundaries = [floor, cloneLsn, isLive ? liveLsn : consumed];
    const usable = boundaries.filter((lsn) => lsn >= base && lsn <= this.end);
    if (this.end <= base) usable.push(this.end);
    this.beginKnown = usable.length > 0;
    this.begin = this.beginKnown ? Math.min(...usable) : this.#firstEvent(base);
  }

  /** The first position from which many events follow one another. */
  #firstEvent(oldest: number): number {
    const window = this.read(oldest);
    const out = new Uint32Array(CONVINCING_EVENTS * SCAN_WORDS);
    for (let at = 0; at < Math.min(window.byteLength, EVENT_BYTES_MAX); at++) {
      const events = scanEvents(window, at, out);
      if (events === CONVINCING_EVENTS || (events > 0 && endsCleanly(window, at, out, events)))
        return oldest + at;
    }
    throw new LogError('LOG_NO_EVENT', `${this.path}: no event begins after position ${oldest}`, oldest);
  }

  read(lsn: number): Uint8Array {
    const at = lsn - this.#base;
    return this.#copy.subarray(at, at + WINDOW_BYTES);
  }

  /** The ring itself was closed when it had been copied. */
  close(): void {
    return;
  }
}

/**
 * What a ring holds from `floor` on. QEMU may overwrite the oldest bytes while they are copied: those are left out.
 * @throws LOG_LOST when it is faster than the copying
 */
function copyOf(path: string, ring: Ring, floor: number): { base: number; bytes: Buffer } {
  for (let tries = 0; tries < COPY_TRIES; tries++) {
    const end = ring.produced;
    const from = Math.min(end, Math.max(floor, end - ring.ringBytes));
    const bytes = tryCopy(ring, from, end);
    // An event that is being written lies behind the head: over the oldest of a ring that has gone round.
    const held = Math.max(from, ring.produced + EVENT_BYTES_MAX - ring.ringBytes);
    if (bytes !== null && (held === from || held < end))
      return { base: held, bytes: bytes.subarray(held - from) };
  }
  throw new LogError('LOG_LOST', `${path}: QEMU overwrites the ring faster than it can be copied`, null);
}

function tryCopy(ring: Ring, from: number, to: number): Buffer | null {
  try {
    return Buffer.from(ring.view(from, to));
  } catch (error) {
    if (error instanceof AddonError && error.code === 'RING_LOG_LOST') return null;
    throw error;
  }
}

/** A run of so many events is no accident: two thirds of all bytes begin none. */
const CONVINCING_EVENTS = 128;

function endsCleanly(window: Uint8Array, at: number, out: Uint32Array, events: number): boolean {
  let end = at;
  for (let i = 0; i < events; i++) end += out[i * SCAN_WORDS + 1] ?? 0;
  return eventLength(window, end) === 0;
}

const RING_MAGIC = Buffer.from('LKSIFTL1', 'latin1');

function head(path: string, fd: number): Buffer {
  try {
    const bytes = Buffer.alloc(LOG_HEADER_BYTES);
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0));
  } catch (error) {
    throw readFailed(path, error);
  }
}

function openFile(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw readFailed(path, error);
  }
}

/**
 * QEMU writes the version word when it ends; a log whose QEMU was killed begins with zeros.
 * @throws LOG_VERSION
 */
function checkHeader(path: string, header: Buffer): void {
  const version = header.length < 4 ? null : header.readUInt32BE(0);
  if (version !== null && (version === 0 || logVersionKnown(version))) return;
  const found = version === null ? 'too short' : `version word 0x${version.toString(16)}`;
  throw new LogError(
    'LOG_VERSION',
    `${path} is neither a ring nor a log of QEMU 10.0 (${found}); of a piece of a log say where it begins`,
    null,
  );
}

export interface OpenOptions {
  /** For a piece of a log without a header: the LSN of its first byte, where an event must begin. Else null. */
  readonly baseLsn: number | null;
}

/**
 * Opens a ring file (also one in use; it is only read), a log that QEMU wrote, or a piece of one.
 * @throws LogError LOG_READ, LOG_VERSION, LOG_NO_EVENT, LOG_LOST; AddonError for a broken ring
 */
export function openLog(path: string, options: OpenOptions): LogSource {
  const fd = openFile(path);
  let kept = false;
  try {
    const header = head(path, fd);
    if (header.subarray(0, RING_MAGIC.length).equals(RING_MAGIC)) return openRing(path);
    if (options.baseLsn === null) checkHeader(path, header);
    const base = options.baseLsn ?? 0;
    const source = new FileSource(path, fd, options.baseLsn ?? LOG_HEADER_BYTES, base);
    kept = true;
    return source;
  } finally {
    if (!kept) closeSync(fd);
  }
}

function openRing(path: string): LogSource {
  const ring = Ring.open(path, { readOnly: true });
  try {
    return new RingSource(path, ring);
  } finally {
    ring.close();
  }
}
