// SPDX-License-Identifier: Apache-2.0
/** What a step of work says when it did not fail. To fail is to throw. */

export type Outcome =
  /** Nothing to do until something changes. */
  | { readonly kind: 'done' }
  /** Look again after this time, whether something changed or not. */
  | { readonly kind: 'again'; readonly afterMs: number; readonly reason: string };

export const done: Outcome = { kind: 'done' };

/** @throws RangeError for a time that is not finite or below zero */
export function again(afterMs: number, reason: string): Outcome {
  if (!Number.isFinite(afterMs) || afterMs < 0)
    throw new RangeError(
      `again(${afterMs}, '${reason}'): give a time in ms that is finite and not below zero`,
    );
  return { kind: 'again', afterMs, reason };
}
