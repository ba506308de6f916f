// SPDX-License-Identifier: Apache-2.0
// What came out of each row, for the report.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPO } from '../../../cli/local/layout.js';
import type { Verdict } from './wire.js';

export const OUTCOMES_FILE = join(REPO, 'build/fault-outcomes.json');

interface Passed {
  readonly told: string;
  readonly verdict: Verdict;
  readonly epoch: number | null;
}

export interface Outcome {
  readonly row: string;
  /** ISO 8601. */
  readonly at: string;
  readonly ok: boolean;
  readonly told: string;
  /** Packets of the guest that left, copies that came late, and who spoke in which order. */
  readonly wire: string;
}

/** The last one of each row that was ever played in this checkout. */
export function readOutcomes(): Outcome[] {
  if (!existsSync(OUTCOMES_FILE)) return [];
  return JSON.parse(readFileSync(OUTCOMES_FILE, 'utf8')) as Outcome[];
}

export class Outcomes {
  private readonly rows: Outcome[] = [];

  passed(row: string, { told, verdict, epoch }: Passed): void {
    const late = verdict.late === 0 ? '' : `, ${verdict.late} late copies`;
    const wire = `${verdict.packets} by ${verdict.turns.join(', then ')}${late}`;
    this.add(row, true, `${told}; protected again in epoch ${epoch ?? '?'}`, wire);
  }

  failed(row: string, words: string): void {
    this.add(row, false, words, '-');
  }

  /** After each row, so that a run that is ended has told all it knew. Replaces what was known of those rows. */
  private write(): void {
    const played = new Set(this.rows.map(({ row }) => row));
    const others = readOutcomes().filter(({ row }) => !played.has(row));
    mkdirSync(join(REPO, 'build'), { recursive: true });
    writeFileSync(OUTCOMES_FILE, JSON.stringify([...others, ...this.rows], null, 2) + '\n');
  }

  private add(row: string, ok: boolean, told: string, wire: string): void {
    this.rows.push({ row, at: new Date().toISOString(), ok, told, wire });
    this.write();
  }
}
