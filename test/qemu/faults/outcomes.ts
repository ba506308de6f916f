// SPDX-License-Identifier: Apache-2.0
// What came out of each row, for the report.
import { mkdirSync, writeFileSync } from 'node:fs';
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
  readonly ok: boolean;
  readonly told: string;
  /** Packets of the guest that left, copies that came late, and who spoke in which order. */
  readonly wire: string;
}

export class Outcomes {
  private readonly rows: Outcome[] = [];

  passed(row: string, { told, verdict, epoch }: Passed): void {
    const late = verdict.late === 0 ? '' : `, ${verdict.late} late copies`;
    const wire = `${verdict.packets} packets by ${verdict.turns.join(' then ')}${late}`;
    this.rows.push({ row, ok: true, told: `${told}; protected again in epoch ${epoch ?? '?'}`, wire });
  }

  failed(row: string, words: string): void {
    this.rows.push({ row, ok: false, told: words, wire: '-' });
  }

  write(): void {
    mkdirSync(join(REPO, 'build'), { recursive: true });
    writeFileSync(OUTCOMES_FILE, JSON.stringify(this.rows, null, 2) + '\n');
  }
}
