// SPDX-License-Identifier: Apache-2.0
// A row of the fault matrix, as a test.
import type { Stage } from './stage.js';

export const STATE_WORDS = {
  U: 'unprotected',
  C: 'cloning',
  I: 'protected, idle',
  L: 'protected, loaded',
  G: 'going live',
} as const;

/** What the pair was doing when the fault came. A clone after a failover is like any other. */
export type State = keyof typeof STATE_WORDS;

export interface Row {
  readonly fault: string;
  readonly state: State;
  /** What must come out. */
  readonly outcome: string;
  /** One of those that each run of the tests plays; the others take `--all`. */
  readonly quick?: true;
  /** Other clients keep the guest busy. */
  readonly load?: true;
  /** How often the guest may move to another host. */
  readonly moves: 0 | 1;
  /** Plays it, up to where the outcome is there. What it returns is told in the report. */
  readonly play: (stage: Stage) => Promise<string>;
}

export const titleOf = (row: Row): string => `${row.fault} [${row.state}]: ${row.outcome}`;
