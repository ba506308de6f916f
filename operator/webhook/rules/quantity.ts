// SPDX-License-Identifier: Apache-2.0
export const MEBIBYTE = 1024 ** 2;

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 1024,
  Mi: MEBIBYTE,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
};

/** A quantity in bytes; NaN for what is none. */
export function bytesOf(quantity: unknown): number {
  const match = /^(\d+(?:\.\d+)?)([kMGT]i?|Ki)?$/.exec(String(quantity));
  return match === null ? Number.NaN : Number(match[1]) * (UNITS[match[2] ?? ''] ?? Number.NaN);
}
