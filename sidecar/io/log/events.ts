// SPDX-License-Identifier: Apache-2.0
import {
  EVENT_NAMES,
  eventFields,
  eventLength,
  SCAN_WORDS,
  scanEvents,
  type EventFault,
  type EventField,
} from '../../../native/addon/index.js';
import { LogError } from './errors.js';
import type { LogSource } from './source.js';

export interface LogEvent {
  readonly lsn: number;
  /** Bytes in the log, kind byte included. */
  readonly length: number;
  readonly kind: number;
  readonly name: string;
  readonly fields: readonly EventField[];
  /** Guest instructions from the source's begin up to this event; of an instructions event its own included. */
  readonly instructions: bigint;
}

/** Why the walk over a log ended. */
export interface LogEnd {
  /** Behind the last whole event. */
  readonly lsn: number;
  /** Of an event whose end is not there (yet): a log cut off, or one still written. */
  readonly incompleteBytes: number;
  readonly instructions: bigint;
}

/** A walk over events without their payload: cheap, for millions of them. The object is the same at each turn. */
export interface EventCursor {
  lsn: number;
  length: number;
  kind: number;
  instructions: bigint;
  /** The bytes from `lsn` on; valid until the next turn. */
  bytes: Uint8Array;
}

const SCAN_EVENTS = 4096;

const FAULTS: Readonly<Record<EventFault, string>> = {
  EVENT_KIND: 'no kind of event of this log version',
  EVENT_LENGTH: 'an event longer than any can be',
  EVENT_FIELD: 'an event with a value that QEMU cannot have written',
};

function fault(source: LogSource, lsn: number, code: EventFault, bytes: Uint8Array): LogError {
  const start = Buffer.from(bytes.subarray(0, 16)).toString('hex');
  return new LogError(code, `${source.path}: at position ${lsn}: ${FAULTS[code]} (${start}...)`, lsn);
}

/**
 * Every event from the source's begin on. Memory is bounded by one window.
 * @throws LogError EVENT_KIND, EVENT_LENGTH, EVENT_FIELD with the position; LOG_READ
 */
export function* walk(source: LogSource): Generator<EventCursor, LogEnd, undefined> {
  const out = new Uint32Array(SCAN_EVENTS * SCAN_WORDS);
  const cursor: EventCursor = {
    lsn: source.begin,
    length: 0,
    kind: 0,
    instructions: 0n,
    bytes: Buffer.alloc(0),
  };
  let lsn = source.begin;
  for (;;) {
    const window = source.read(lsn);
    const windowLsn = lsn;
    let at = 0;
    let events: number;
    do {
      events = scanEvents(window, at, out);
      for (let i = 0; i < events; i++) {
        cursor.lsn = windowLsn + at;
        cursor.kind = out[i * SCAN_WORDS] ?? 0;
        cursor.length = out[i * SCAN_WORDS + 1] ?? 0;
        cursor.instructions += BigInt(out[i * SCAN_WORDS + 2] ?? 0);
        cursor.bytes = window.subarray(at, at + cursor.length);
        at += cursor.length;
        yield cursor;
      }
    } while (events === SCAN_EVENTS);
    lsn = windowLsn + at;
    const rest = eventLength(window, at);
    if (typeof rest === 'string') throw fault(source, lsn, rest, window.subarray(at));
    // A window holds the longest event: one without progress is the last.
    if (at === 0) return { lsn, incompleteBytes: window.byteLength, instructions: cursor.instructions };
  }
}

export interface EventFilter {
  /** Names (EVENT_NAMES), or null for all. */
  readonly kinds: ReadonlySet<string> | null;
  /** Events that begin in [from, to). */
  readonly from: number;
  readonly to: number;
}

export const ALL_EVENTS: EventFilter = { kinds: null, from: 0, to: Number.MAX_SAFE_INTEGER };

/** The event under a cursor, with its payload; its own, whatever the cursor does next. */
export function decode(cursor: EventCursor): LogEvent {
  const { lsn, length, kind, instructions } = cursor;
  const fields = eventFields(cursor.bytes, 0) ?? [];
  return { lsn, length, kind, name: EVENT_NAMES[kind] ?? '', fields, instructions };
}

/** The events that pass a filter. @throws as walk() does, for what comes before `to` */
export function* events(source: LogSource, filter: EventFilter): Generator<LogEvent, LogEnd, undefined> {
  const wanted = EVENT_NAMES.map((name) => name !== null && (filter.kinds?.has(name) ?? true));
  const all = walk(source);
  for (;;) {
    const { value, done } = all.next();
    if (done === true) return value;
    if (value.lsn >= filter.to)
      return { lsn: value.lsn, incompleteBytes: 0, instructions: value.instructions };
    if (value.lsn >= filter.from && wanted[value.kind] === true) yield decode(value);
  }
}

const NAMES = EVENT_NAMES.filter((name) => name !== null);

/**
 * Names of kinds from what a person types: `net`, or the beginning of several, `clock`, separated by commas.
 * @throws LOG_NO_SUCH_KIND
 */
export function parseKinds(text: string): Set<string> {
  const kinds = new Set<string>();
  for (const word of text.split(',').map((part) => part.trim())) {
    const exact = NAMES.filter((name) => name === word);
    const found = exact.length > 0 ? exact : NAMES.filter((name) => name.startsWith(`${word}-`));
    if (found.length === 0)
      throw new LogError(
        'LOG_NO_SUCH_KIND',
        `no kind of event '${word}'; there are: ${NAMES.join(', ')}`,
        null,
      );
    for (const name of found) kinds.add(name);
  }
  return kinds;
}
