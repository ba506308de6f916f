// SPDX-License-Identifier: Apache-2.0

/** A measurement could not be made. The message says which and why. */
export class BenchError extends Error {
  readonly code = 'LOCKSTEP_BENCH';
  override readonly name = 'BenchError';
}
