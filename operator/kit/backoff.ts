// SPDX-License-Identifier: Apache-2.0
/** How long to wait after the n-th failure in a row. Pure. */
import type { Random } from './time.js';

export interface BackoffLimits {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Bounds that cannot work. */
export class BackoffError extends Error {
  readonly code = 'KIT_BACKOFF';
}

/** @throws BackoffError */
export function checkedBackoff(limits: BackoffLimits): BackoffLimits {
  const { firstMs, maxMs } = limits;
  if (firstMs > 0 && firstMs <= maxMs && Number.isFinite(maxMs)) return limits;
  throw new BackoffError(`0 < firstMs <= maxMs must hold: firstMs is ${firstMs}, maxMs is ${maxMs}`);
}

/**
 * Doubles from `firstMs` up to `maxMs`; half of it is left to chance, so that those who failed together do not come
 * back together.
 * @param failures in a row, 1 or more
 */
export function backoffMs(failures: number, { firstMs, maxMs }: BackoffLimits, random: Random): number {
  const wholeMs = Math.min(maxMs, firstMs * 2 ** Math.max(0, failures - 1));
  return wholeMs * (1 - random() / 2);
}
