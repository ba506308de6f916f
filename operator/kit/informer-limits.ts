// SPDX-License-Identifier: Apache-2.0
/** Every number of an informer, with its unit, and what must hold between them. */
import type { BackoffLimits } from './backoff.js';

export interface InformerLimits {
  readonly pageSize: number;
  /** After a failure. The API server is spared; a stale cache costs no more than this beyond the outage. */
  readonly backoff: BackoffLimits;
  /** The server ends a watch after a time between this and its double, so that not all come back at once. */
  readonly watchTimeoutMs: number;
  /** A watch that said nothing for so long is not believed. A server sends a bookmark every minute or so. */
  readonly silenceMsMax: number;
  /** A watch that ended well after this time is simply opened again; one that ended earlier counts as a failure. */
  readonly steadyMs: number;
  /** After so many failures of the watch alone, in a row, its version is not believed any more: list again. */
  readonly failuresBeforeRelist: number;
  /** Lists that somebody demanded are at least so far apart. */
  readonly relistGapMs: number;
}

export const INFORMER_LIMITS: InformerLimits = {
  pageSize: 500,
  backoff: { firstMs: 250, maxMs: 30_000 },
  watchTimeoutMs: 300_000,
  silenceMsMax: 150_000,
  steadyMs: 5_000,
  failuresBeforeRelist: 3,
  relistGapMs: 500,
};

/** A setting that cannot work. Change the named limits so that the sentence is true. */
export class InformerLimitsError extends Error {
  readonly code = 'KIT_INFORMER_LIMITS';
}

const RELATIONS: readonly (readonly [string, (l: InformerLimits) => boolean])[] = [
  ['pageSize is a whole number above zero', (l) => Number.isInteger(l.pageSize) && l.pageSize > 0],
  [
    '0 < backoff.firstMs <= backoff.maxMs',
    (l) => 0 < l.backoff.firstMs && l.backoff.firstMs <= l.backoff.maxMs,
  ],
  ['backoff.maxMs < silenceMsMax', (l) => l.backoff.maxMs < l.silenceMsMax],
  [
    'steadyMs < silenceMsMax <= watchTimeoutMs',
    (l) => l.steadyMs < l.silenceMsMax && l.silenceMsMax <= l.watchTimeoutMs,
  ],
  ['0 <= relistGapMs < silenceMsMax', (l) => 0 <= l.relistGapMs && l.relistGapMs < l.silenceMsMax],
  ['failuresBeforeRelist >= 1', (l) => l.failuresBeforeRelist >= 1],
];

/** @throws InformerLimitsError */
export function makeInformerLimits(changes: Partial<InformerLimits> = {}): InformerLimits {
  const limits = { ...INFORMER_LIMITS, ...changes };
  for (const [sentence, holds] of RELATIONS)
    if (!holds(limits))
      throw new InformerLimitsError(`${sentence}: must hold, see ${JSON.stringify(limits)}`);
  return limits;
}
