// SPDX-License-Identifier: Apache-2.0
// Numbers that tests meet on their way. They are told and reported, never asserted: the machine is shared.

export interface Measured {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
}

const all: Measured[] = [];

export function measured(what: string, value: number, unit = 'ms'): void {
  const rounded = Math.round(value * 10) / 10;
  all.push({ what, value: rounded, unit });
  process.stdout.write(`      ${what}: ${rounded} ${unit}\n`);
}

export const allMeasured = (): readonly Measured[] => all;
