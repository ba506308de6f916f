// SPDX-License-Identifier: Apache-2.0
// Do two sides' consoles agree? The older side's file holds all since boot (or since it was cloned itself), the
// younger side's begins at its clone point. They must be equal from there up to where the younger side went live:
// what came later on either side is its own. How many bytes that is, the log tells: each write to the console is an
// event in it.
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Ring } from '../../../native/addon/index.js';
import { events, openLog } from '../../../sidecar/io/log/index.js';
import type { Side } from './pair.js';

/** A comparison of less than this would say little, and might match by accident. */
export const SHARED_BYTES_MIN = 200;

export interface SharedSerial {
  /** Bytes of the younger side's file that both sides must have. */
  readonly bytes: number;
  /** Where they begin in the older side's file. */
  readonly at: number;
}

/** Seconds since the guest's boot, as its console said last; nothing while it has said nothing. */
export async function guestUptime(side: Pick<Side, 'serialFile'>): Promise<number | undefined> {
  const ticks = [...(await readFile(side.serialFile, 'latin1')).matchAll(/^tick \d+ up=([\d.]+) rnd=/gm)];
  const last = ticks.at(-1)?.[1];
  return last === undefined ? undefined : Number(last);
}

/** LSN at which a ring's QEMU went live. */
function liveLsn(ringFile: string): number {
  const ring = Ring.open(ringFile, { readOnly: true });
  try {
    const { state, liveLsn: lsn } = ring.snapshot();
    if (state !== 'live') throw new Error(`${ringFile}: ${state}, not live`);
    return lsn;
  } finally {
    ring.close();
  }
}

/** Console bytes that the log of a side that went live has from its clone point to its go-live. */
export function replayedConsoleBytes(ringFile: string): number {
  const to = liveLsn(ringFile);
  const source = openLog(ringFile, { baseLsn: null });
  try {
    let bytes = 0;
    const writes = events(source, { kinds: new Set(['char-write']), from: 0, to });
    for (let next = writes.next(); next.done !== true; next = writes.next()) {
      const written = next.value.fields.find(([name]) => name === 'offset')?.[1];
      bytes += Number(written ?? 0);
    }
    return bytes;
  } finally {
    source.close();
  }
}

function commonPrefix(a: Buffer, b: Buffer): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  return at;
}

/** Where, in the older side's file, the two part; for a person. */
function whereTheyPart(older: Buffer, younger: Buffer): string {
  const probe = younger.subarray(0, Math.min(64, younger.length));
  const at = older.indexOf(probe);
  if (at < 0)
    return `the younger one begins with what the older one has not: ${JSON.stringify(String(probe))}`;
  const equal = commonPrefix(older.subarray(at), younger);
  const show = (bytes: Buffer) => JSON.stringify(String(bytes.subarray(Math.max(0, equal - 60), equal + 60)));
  return `equal for ${equal} bytes; older ${show(older.subarray(at))}, younger ${show(younger)}`;
}

/**
 * Compares two consoles bit by bit. To be called before the younger side gets a backup of its own, because from then
 * on its ring no longer holds its whole history.
 * @throws Error that tells where they part
 */
export function sharedSerial(older: Pick<Side, 'serialFile'>, younger: Side): SharedSerial {
  const bytes = replayedConsoleBytes(younger.ringFile);
  const all = readFileSync(younger.serialFile);
  const before = readFileSync(older.serialFile);
  if (all.length < bytes) {
    throw new Error(`${younger.serialFile}: ${all.length} bytes, but its log has ${bytes} until go-live`);
  }
  const shared = all.subarray(0, bytes);
  const at = before.indexOf(shared);
  if (at < 0) throw new Error(`the consoles differ: ${whereTheyPart(before, shared)}`);
  if (bytes >= SHARED_BYTES_MIN && before.includes(shared, at + 1)) {
    throw new Error('the shared part is found twice: the comparison says nothing');
  }
  return { bytes, at };
}
