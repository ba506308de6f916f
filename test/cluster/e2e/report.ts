// SPDX-License-Identifier: Apache-2.0
// What was seen on a cluster, as a section of a page.
import { allMeasured, type Measured } from './support/measured.js';
import { appendReport } from '../../qemu/support/report.js';

export interface Played {
  readonly title: string;
  readonly outcome: 'passed' | 'failed' | 'not played';
  readonly ms: number;
  /** Why it failed. */
  readonly words?: string;
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1);
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** Pure. */
export function reportText(played: readonly Played[], numbers: readonly Measured[]): string {
  const count = (outcome: Played['outcome']) => played.filter((one) => one.outcome === outcome).length;
  const summary = `**${count('passed')} passed, ${count('failed')} failed, ${count('not played')} not played.**`;
  const tests = played.map(
    ({ title, outcome, ms, words }) =>
      `| ${cell(title)} | ${outcome}${words === undefined ? '' : `: ${cell(words)}`} | ${seconds(ms)} |`,
  );
  const values = numbers.map(({ what, value, unit }) => `| ${cell(what)} | ${value} ${unit} |`);
  const tables = [['| test | outcome | s |', '|---|---|---|', ...tests].join('\n')];
  if (values.length > 0) tables.push(['| measured | |', '|---|---|', ...values].join('\n'));
  return [summary, ...tables].join('\n\n');
}

export const reportTo = (file: string, played: readonly Played[]): Promise<void> =>
  appendReport(file, reportText(played, allMeasured()));
