// SPDX-License-Identifier: Apache-2.0
/** Why a start of QEMU is refused: a word for the operator's conditions, a sentence for people. */
import type { Trouble } from '../observe/status-schema.js';

export class Refusal extends Error {
  constructor(
    readonly reason: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Errors of the add-on, of the argv's rules, of the channel and of the system have codes: words already. */
export function refusalOf(error: unknown): Trouble {
  if (error instanceof Refusal) return { reason: error.reason, message: error.message };
  if (!(error instanceof Error)) return { reason: 'broken', message: String(error) };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'broken';
  return { reason: code, message: error.message };
}
