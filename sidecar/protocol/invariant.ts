// SPDX-License-Identifier: Apache-2.0
/** A broken invariant: a mistake in this program. The side that sees it ends, and its peer takes over. */
export class InvariantError extends Error {
  readonly code = 'LOCKSTEP_INVARIANT';
}

/** States what must be true here, whatever peers and stores do. */
export function invariant(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new InvariantError(sentence);
}
