// SPDX-License-Identifier: Apache-2.0
import { EVENT_NAMES } from '../../../native/addon/index.js';
import { LogError } from './errors.js';
import { walk, type LogEnd } from './events.js';
import type { LogSource } from './source.js';

export interface KindSummary {
  readonly name: string;
  readonly events: number;
  readonly bytes: number;
}

export interface LogSummary {
  readonly begin: number;
  readonly end: number;
  /** Most bytes first. */
  readonly kinds: readonly KindSummary[];
  readonly events: number;
  readonly instructions: bigint;
  readonly incompleteBytes: number;
  /** What ended the walk before the log's end, or null. */
  readonly fault: LogError | null;
}

interface Tally {
  /** By kind. */
  readonly counts: number[];
  readonly bytes: number[];
  instructions: bigint;
}

function fill(tally: Tally, source: LogSource): LogEnd | LogError {
  const all = walk(source);
  try {
    for (;;) {
      const { value, done } = all.next();
      if (done === true) return value;
      tally.counts[value.kind] = (tally.counts[value.kind] ?? 0) + 1;
      tally.bytes[value.kind] = (tally.bytes[value.kind] ?? 0) + value.length;
      tally.instructions = value.instructions;
    }
  } catch (error) {
    if (error instanceof LogError) return error;
    throw error;
  }
}

/** How many events of each kind there are. A corrupt log is summarised up to its fault. */
export function summarize(source: LogSource): LogSummary {
  const tally: Tally = { counts: [], bytes: [], instructions: 0n };
  const outcome = fill(tally, source);
  const fault = outcome instanceof LogError ? outcome : null;
  const kinds = EVENT_NAMES.flatMap((name, kind) => {
    const events = tally.counts[kind] ?? 0;
    return name === null || events === 0 ? [] : [{ name, events, bytes: tally.bytes[kind] ?? 0 }];
  });
  return {
    begin: source.begin,
    end: outcome.lsn ?? source.begin,
    kinds: kinds.sort((a, b) => b.bytes - a.bytes),
    events: kinds.reduce((sum, kind) => sum + kind.events, 0),
    instructions: tally.instructions,
    incompleteBytes: outcome instanceof LogError ? 0 : outcome.incompleteBytes,
    fault,
  };
}

/** As a table, a bar for each kind's share of the bytes. */
export function describeSummary(summary: LogSummary): string {
  const total = Math.max(1, summary.end - summary.begin);
  const rows = summary.kinds.map(({ name, events, bytes }) => {
    const share = bytes / total;
    const percent = `${(100 * share).toFixed(1)} %`;
    const bar = '#'.repeat(Math.round(30 * share));
    return `${name.padEnd(30)}${String(events).padStart(12)}${String(bytes).padStart(14)}${percent.padStart(9)}  ${bar}`.trimEnd();
  });
  const head = `${'kind'.padEnd(30)}${'events'.padStart(12)}${'bytes'.padStart(14)}${'share'.padStart(9)}`;
  const lines = [
    `positions ${summary.begin} to ${summary.end}, ${summary.events} events, ${summary.instructions} instructions`,
    head,
    ...rows,
  ];
  if (summary.incompleteBytes > 0)
    lines.push(`the last ${summary.incompleteBytes} bytes are an incomplete event`);
  if (summary.fault !== null) lines.push(summary.fault.message);
  return lines.join('\n');
}
