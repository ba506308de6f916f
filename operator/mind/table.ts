// SPDX-License-Identifier: Apache-2.0
/** Decisions as tables: each input meets exactly one row, and the row's reason is what people read. Pure. */

export interface Row<Input, Action> {
  /** One CamelCase word: condition, event, metric label and log line use the same. */
  readonly reason: string;
  /** For people: what is so, and what they can do about it. */
  readonly words: string;
  readonly action: Action;
  readonly when: (input: Input) => boolean;
}

/** The row that an input meets. */
export function decide<Input, Action>(
  table: readonly Row<Input, Action>[],
  input: Input,
): Row<Input, Action> {
  const row = table.find((one) => one.when(input));
  if (row === undefined) throw new Error(`no row for ${JSON.stringify(input)}`);
  return row;
}
