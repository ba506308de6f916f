// SPDX-License-Identifier: Apache-2.0
import { LogError } from './errors.js';
import { decode, walk, type EventCursor, type LogEvent } from './events.js';
import type { LogSource } from './source.js';

/** Equal events shown before the first difference. */
const CONTEXT_EVENTS = 8;

/** What a log has at the difference. */
export type Side =
  | { readonly kind: 'event'; readonly event: LogEvent }
  | { readonly kind: 'fault'; readonly error: LogError }
  | { readonly kind: 'ended'; readonly lsn: number };

export type LogDiff =
  /** Equal as far as both go. */
  | { readonly kind: 'same'; readonly from: number; readonly to: number }
  | {
      readonly kind: 'different';
      /** Where the first event begins that is not the same in both. */
      readonly lsn: number;
      /** The last events before it, oldest first. */
      readonly before: readonly LogEvent[];
      readonly left: Side;
      readonly right: Side;
    };

/** The first position from `from` on, below `to`, whose bytes differ; null when none does. */
function firstDifference(left: LogSource, right: LogSource, from: number, to: number): number | null {
  let lsn = from;
  while (lsn < to) {
    const a = left.read(lsn);
    const b = right.read(lsn);
    const bytes = Math.min(a.byteLength, b.byteLength, to - lsn);
    // A file may have become shorter since it was opened.
    if (bytes === 0) return null;
    if (Buffer.compare(a.subarray(0, bytes), b.subarray(0, bytes)) !== 0) {
      let at = 0;
      while (a[at] === b[at]) at++;
      return lsn + at;
    }
    lsn += bytes;
  }
  return null;
}

/** Walks up to the event that holds position `lsn`, remembering the last ones before it. */
function locate(source: LogSource, lsn: number): { side: Side; before: LogEvent[] } {
  const before: LogEvent[] = [];
  const all = walk(source);
  // Only the few events before the difference are worth their payload: take them from where they may begin.
  const near = lsn - NEAR_BYTES;
  const remember = (cursor: EventCursor): void => {
    if (cursor.lsn < near) return;
    before.push(decode(cursor));
    if (before.length > CONTEXT_EVENTS) before.shift();
  };
  try {
    for (;;) {
      const { value, done } = all.next();
      if (done === true) return { side: { kind: 'ended', lsn: value.lsn }, before };
      if (value.lsn + value.length > lsn) return { side: { kind: 'event', event: decode(value) }, before };
      remember(value);
    }
  } catch (error) {
    if (error instanceof LogError) return { side: { kind: 'fault', error }, before };
    throw error;
  }
}

const NEAR_BYTES = 1 << 16;

/**
 * The first event that is not the same in two logs of one VM: where replay and recording parted.
 * Compared is what both hold; instructions are counted from each log's own begin.
 * @throws LOG_APART when they have no position in common
 */
export function diffLogs(left: LogSource, right: LogSource): LogDiff {
  const from = Math.max(left.begin, right.begin);
  const to = Math.min(left.end, right.end);
  if (from > to)
    throw new LogError(
      'LOG_APART',
      `no position in common: ${left.path} has ${left.begin} to ${left.end}, ${right.path} ${right.begin} to ${right.end}`,
      null,
    );
  const differs = firstDifference(left, right, from, to);
  if (differs === null) return { kind: 'same', from, to };
  const [a, b] = [locate(left, differs), locate(right, differs)];
  const lsn = Math.min(...[a.side, b.side].map((side) => sideLsn(side, differs)));
  return { kind: 'different', lsn, before: a.before, left: a.side, right: b.side };
}

function sideLsn(side: Side, otherwise: number): number {
  if (side.kind === 'event') return side.event.lsn;
  return side.kind === 'ended' ? side.lsn : (side.error.lsn ?? otherwise);
}
