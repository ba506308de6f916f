// SPDX-License-Identifier: Apache-2.0
/** Every number of an election, with its unit, and what must hold between them. */

export interface ElectionLimits {
  /** Another may take the lease when it has not seen it change for so long. Whole seconds: the API has no others. */
  readonly leaseDurationMs: number;
  /** A leader gives up so long after it sent its last renewal that succeeded. */
  readonly renewDeadlineMs: number;
  /** Between two looks at the lease, or two renewals. */
  readonly retryMs: number;
  /** For each call about the lease. */
  readonly callTimeoutMs: number;
  /** Longest time-out of any write by which a leader changes something: give it to its RestApi. */
  readonly writeTimeoutMs: number;
}

export const ELECTION_LIMITS: ElectionLimits = {
  leaseDurationMs: 21_000,
  renewDeadlineMs: 10_000,
  retryMs: 2_000,
  callTimeoutMs: 3_000,
  writeTimeoutMs: 10_000,
};

/** A setting that cannot work. Change the named limits so that the sentence is true. */
export class ElectionLimitsError extends Error {
  readonly code = 'KIT_ELECTION_LIMITS';
}

const RELATIONS: readonly (readonly [string, (l: ElectionLimits) => boolean])[] = [
  ['all limits are finite and above zero', (l) => Object.values(l).every((v) => Number.isFinite(v) && v > 0)],
  ['leaseDurationMs is whole seconds', (l) => l.leaseDurationMs % 1_000 === 0],
  // Two clocks may run at rates that differ by a quarter: far more than any does that works.
  ['renewDeadlineMs * 1.25 <= leaseDurationMs', (l) => l.renewDeadlineMs * 1.25 <= l.leaseDurationMs],
  // What a leader sent at its last moment has an end before another may lead.
  [
    'renewDeadlineMs + writeTimeoutMs < leaseDurationMs',
    (l) => l.renewDeadlineMs + l.writeTimeoutMs < l.leaseDurationMs,
  ],
  // One call that gets lost must not cost the lead.
  [
    '(retryMs + callTimeoutMs) * 2 <= renewDeadlineMs',
    (l) => (l.retryMs + l.callTimeoutMs) * 2 <= l.renewDeadlineMs,
  ],
];

/** @throws ElectionLimitsError */
export function makeElectionLimits(changes: Partial<ElectionLimits> = {}): ElectionLimits {
  const limits = { ...ELECTION_LIMITS, ...changes };
  for (const [sentence, holds] of RELATIONS)
    if (!holds(limits))
      throw new ElectionLimitsError(`${sentence}: must hold, see ${JSON.stringify(limits)}`);
  return limits;
}
