// SPDX-License-Identifier: Apache-2.0
// What was measured, as a table for people and as JSON for programs. Pure.
import { table } from '../cli/verbs/status.js';
import { median, percentile } from './statistics.js';

export type Unit = 'ms' | 's' | 's/min' | 'x' | 'Mbit/s' | '%' | 'MiB' | 'us' | '1/s' | 'count';

/** An upper bound that the project set itself. Without `worst`, only the median is judged. */
export interface Aim {
  readonly median?: number;
  readonly worst?: number;
}

/** One line of the table: a thing measured `values.length` times. */
export interface Row {
  readonly what: string;
  readonly unit: Unit;
  readonly values: readonly number[];
  readonly aim?: Aim;
  /** Which end of the values is the bad one. */
  readonly bad?: 'high' | 'low';
}

/** All rows of one measurement, and what a reader must know of them. */
export interface Section {
  readonly name: string;
  readonly title: string;
  readonly rows: readonly Row[];
  readonly notes: readonly string[];
  /** It could not be made; the notes say why. */
  readonly failed?: boolean;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly qemu: string;
  readonly node: string;
}

export interface Report {
  /** ISO 8601. */
  readonly at: string;
  readonly revision: string;
  readonly quick: boolean;
  readonly machine: Machine;
  readonly sections: readonly Section[];
}

const digits = (value: number): string => {
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  return value.toFixed(size >= 10 ? 1 : 2);
};

export const worstOf = ({ values, bad }: Row): number =>
  bad === 'low' ? Math.min(...values) : percentile(values, 100);

/** By how much each aimed-at value is above its aim; empty: all met. */
export function misses(row: Row): { readonly of: keyof Aim; readonly by: number }[] {
  const found: Record<keyof Aim, number> = { median: median(row.values), worst: worstOf(row) };
  return (['median', 'worst'] as const).flatMap((of) => {
    const bound = row.aim?.[of];
    return bound === undefined || found[of] <= bound ? [] : [{ of, by: found[of] - bound }];
  });
}

function aimText({ aim, unit }: Row): string {
  if (aim === undefined) return '';
  const parts = (['median', 'worst'] as const).flatMap((of) =>
    aim[of] === undefined ? [] : [`${of} <= ${aim[of]}`],
  );
  return `${parts.join(', ')} ${unit}`;
}

export function verdict(row: Row): string {
  if (row.aim === undefined) return '';
  if (row.values.length === 0) return 'NOT MEASURED';
  const missed = misses(row).map(({ of, by }) => `${of} by ${digits(by)} ${row.unit}`);
  return missed.length === 0 ? 'met' : `MISSED: ${missed.join(', ')}`;
}

function cells(row: Row): string[] {
  const { what, unit, values } = row;
  if (values.length === 0) return [what, '-', '-', unit, '0', aimText(row), verdict(row)];
  const worst = values.length === 1 ? '' : digits(worstOf(row));
  return [what, digits(median(values)), worst, unit, String(values.length), aimText(row), verdict(row)];
}

const HEAD = ['', 'MEDIAN', 'WORST', 'UNIT', 'N', 'AIM', ''];

export function sectionText({ title, rows, notes }: Section): string {
  const head = rows.length === 0 ? [title] : [title, table([HEAD, ...rows.map(cells)])];
  return [...head, ...notes.map((note) => `  * ${note}`)].join('\n');
}

/** The whole report for people. Columns line up within a section. */
export function reportText(report: Report): string {
  const { machine } = report;
  const head = [
    `lockstep bench, ${report.at}, revision ${report.revision}${report.quick ? ', quick (few repeats)' : ''}`,
    `${machine.cores} x ${machine.cpu}, Linux ${machine.kernel}, QEMU ${machine.qemu} (TCG), Node ${machine.node}`,
  ].join('\n');
  return [head, ...report.sections.map(sectionText)].join('\n\n');
}

/** The same for programs; each row also with what the table shows of it. */
export function reportJson(report: Report): string {
  const sections = report.sections.map((section) => ({
    ...section,
    rows: section.rows.map((row) => ({
      ...row,
      n: row.values.length,
      median: row.values.length === 0 ? null : median(row.values),
      worst: row.values.length === 0 ? null : worstOf(row),
      met: row.aim === undefined || row.values.length === 0 ? null : misses(row).length === 0,
    })),
  }));
  return `${JSON.stringify({ ...report, sections }, null, 2)}\n`;
}
