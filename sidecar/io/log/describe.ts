// SPDX-License-Identifier: Apache-2.0
import type { EventField } from '../../../native/addon/index.js';
import type { LogEvent } from './events.js';
import { describePacket } from './packet.js';

/** Bytes of a payload that are shown. */
const SHOWN_BYTES = 24;

function describeBytes(bytes: Buffer): string {
  const shown = bytes.subarray(0, SHOWN_BYTES);
  const printable = shown.every((byte) => byte >= 0x20 && byte < 0x7f);
  const text = printable ? JSON.stringify(shown.toString('latin1')) : shown.toString('hex');
  const more = bytes.length > SHOWN_BYTES ? '...' : '';
  return bytes.length === 0 ? 'empty' : `${text}${more} (${bytes.length} bytes)`;
}

/** Nanoseconds since 1970 as a date when they can be one; the clock of a guest may hold anything. */
function describeNs(event: LogEvent, ns: bigint): string {
  const ms = Number(ns / 1_000_000n);
  const isDate = event.name === 'clock-host' && Number.isFinite(new Date(ms).getTime());
  return isDate ? `${ns} (${new Date(ms).toISOString()})` : String(ns);
}

function describeField(event: LogEvent, [name, value]: EventField): string {
  if (typeof value !== 'bigint')
    return name === 'packet' ? describePacket(value) : `${name} ${describeBytes(value)}`;
  return name === 'ns' ? `ns ${describeNs(event, value)}` : `${name} ${value}`;
}

/** An event's payload in words; empty for one without. */
export function describeFields(event: LogEvent): string {
  return event.fields.map((field) => describeField(event, field)).join(' ');
}

/** A line of `log dump`: position, instructions so far, name, payload. */
export function describeEvent(event: LogEvent): string {
  const columns = [
    String(event.lsn).padStart(12),
    String(event.instructions).padStart(14),
    event.name.padEnd(28),
    describeFields(event),
  ];
  return columns.join('  ').trimEnd();
}

/** The same for programs: bytes as hex, integers as decimal strings where a number could lose digits. */
export function eventToJson(event: LogEvent): Record<string, unknown> {
  const fields = event.fields.map(([name, value]): [string, unknown] => {
    if (typeof value !== 'bigint') return [name, value.toString('hex')];
    const number = Number(value);
    return [name, Number.isSafeInteger(number) ? number : String(value)];
  });
  const { lsn, length, name, instructions } = event;
  return { lsn, length, name, instructions: String(instructions), fields: Object.fromEntries(fields) };
}
