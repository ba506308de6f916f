// SPDX-License-Identifier: Apache-2.0
import type { Outcome } from './run.js';

/** Sums up what happened in many runs, so that it can be seen that they go everywhere. */
export class Statistics {
  runs = 0;
  failed = 0;
  readonly counts = new Map<string, number>();
  readonly #violations = new Map<string, number>();
  readonly #begun = process.hrtime.bigint();

  add(outcome: Outcome): void {
    this.runs += 1;
    for (const [what, times] of outcome.counts) this.counts.set(what, (this.counts.get(what) ?? 0) + times);
    if (outcome.violation === null) return;
    this.failed += 1;
    const kind = outcome.violation
      .replaceAll(/\b[A-Z]\d+@h\d\b/g, 'X')
      .replaceAll(/\d+/g, 'N')
      .slice(0, 70);
    this.#violations.set(kind, (this.#violations.get(kind) ?? 0) + 1);
  }

  get seconds(): number {
    return Number(process.hrtime.bigint() - this.#begun) / 1e9;
  }

  commonest(): string {
    const [first] = [...this.#violations].sort((a, b) => b[1] - a[1]);
    return first === undefined ? '' : first[0];
  }
}

export function report(statistics: Statistics): string {
  const lines = [...statistics.counts]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([what, times]) => `  ${String(times).padStart(9)}  ${what}`);
  const { runs, failed, seconds } = statistics;
  const speed = `${runs} seeds in ${seconds.toFixed(1)} s, ${(runs / seconds).toFixed(1)} seeds/s`;
  return [...lines, `${speed}; ${failed === 0 ? 'all held' : `${failed} FAILED`}`].join('\n');
}
