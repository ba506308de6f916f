// SPDX-License-Identifier: Apache-2.0
// What becomes of repeated measurements: median and worst, never a mean alone.

const ascending = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);

/**
 * The p-th percentile (0 < p <= 100) by nearest rank: a value that was measured, never one in between.
 * @throws RangeError without values.
 */
export function percentile(values: readonly number[], p: number): number {
  if (!(p > 0 && p <= 100)) throw new RangeError(`there is no percentile ${p}`);
  const value = ascending(values)[Math.ceil((p / 100) * values.length) - 1];
  if (value === undefined) throw new RangeError('no values were measured');
  return value;
}

/** The middle value; of an even number the mean of the middle two. @throws RangeError without values. */
export function median(values: readonly number[]): number {
  const sorted = ascending(values);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  if (upper === undefined || lower === undefined) throw new RangeError('no values were measured');
  return (lower + upper) / 2;
}
