// SPDX-License-Identifier: Apache-2.0
import { table } from '../verbs/status.js';

export interface Gap {
  readonly acknowledged: number;
  readonly replies: number;
  readonly medianMs: number;
  readonly worstMs: number;
}

const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;

/** What happened, when, and what the client felt of it; each entry is also told at once. */
export class Timeline {
  readonly #startMs: number;
  readonly #lines: string[] = [];
  readonly gaps: ({ readonly what: string } & Gap)[] = [];

  constructor(
    private readonly say: (line: string) => void,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#startMs = now();
  }

  add(words: string): void {
    const seconds = ((this.now() - this.#startMs) / 1000).toFixed(2);
    const line = `${seconds.padStart(7)} s  ${words}`;
    this.#lines.push(line);
    this.say(line);
  }

  gap(what: string, gap: Gap): void {
    this.gaps.push({ what, ...gap });
    this.add(
      `  client: ${gap.acknowledged} acknowledged; longest wait ${ms(gap.worstMs)}, median ${ms(gap.medianMs)}`,
    );
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  summary(): string {
    return table([
      ['DURING', 'REPLIES', 'MEDIAN', 'LONGEST WAIT'],
      ...this.gaps.map((gap) => [gap.what, String(gap.replies), ms(gap.medianMs), ms(gap.worstMs)]),
    ]);
  }
}
