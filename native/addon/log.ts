// SPDX-License-Identifier: Apache-2.0
import { checkBytes, checkInteger } from './check.js';
import { AddonError } from './errors.js';
import { native } from './native.js';

const constants = native.logConstants();

/** No event is longer: with this many bytes at hand an event is complete, or an error. */
export const EVENT_BYTES_MAX = constants.eventBytesMax;
/** A log begins with a version word and eight reserved bytes. */
export const LOG_HEADER_BYTES = constants.headerBytes;
/** A ring file begins with the control page. */
export const CONTROL_BYTES = constants.controlBytes;

/** Name of each kind, by its number; null where the log version has none. The table is ftlog/parse.c. */
export const EVENT_NAMES: readonly (string | null)[] = Object.freeze(native.logKindNames());

/** Integers as bigint, bytes as a copy. */
export type EventField = readonly [name: string, value: bigint | Buffer];

/** What is wrong with an event, by the names of ftlog_error_name(). */
export type EventFault = 'EVENT_KIND' | 'EVENT_LENGTH' | 'EVENT_FIELD';

function checkLog(log: Uint8Array, offset: number): void {
  checkBytes('log', log, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER);
}

/** @returns bytes of the whole event at `offset`, 0 when it is not all there, or what is wrong with it */
export function eventLength(log: Uint8Array, offset: number): number | EventFault {
  checkLog(log, offset);
  const length = native.logEventLength(log, offset);
  return length < 0 ? (native.logErrorName(-length) as EventFault) : length;
}

/** @returns the event's payload, or null when there is no whole and valid event at `offset` */
export function eventFields(log: Uint8Array, offset: number): EventField[] | null {
  checkLog(log, offset);
  const flat = native.logFields(log, offset);
  if (flat === null) return null;
  const fields: EventField[] = [];
  for (let i = 0; i + 1 < flat.length; i += 2)
    fields.push([flat[i] as string, flat[i + 1] as bigint | Buffer]);
  return fields;
}

/** Words that scanEvents writes per event: kind, length in bytes, instructions (0 for other kinds). */
export const SCAN_WORDS = 3;

/**
 * Many events at once, for long logs.
 * @param out filled with SCAN_WORDS words per event
 * @returns the number of events; fewer than fit means that eventLength() behind them is not > 0
 */
export function scanEvents(log: Uint8Array, offset: number, out: Uint32Array): number {
  checkLog(log, offset);
  if (!(out instanceof Uint32Array)) throw new AddonError('INVALID_ARGUMENT', 'out must be a Uint32Array');
  return native.logScan(log, offset, out);
}

export function logVersionKnown(version: number): boolean {
  checkInteger('version', version, 0, 0xffffffff);
  return native.logVersionKnown(version);
}

/** Name of a code of `enum ftlog_error`. */
export function ftlogErrorName(code: number): string {
  checkInteger('code', code, 0, 0xffffffff);
  return native.logErrorName(code);
}
