// SPDX-License-Identifier: Apache-2.0
import { AddonError } from './errors.js';

function invalid(what: string, value: unknown): AddonError {
  return new AddonError('INVALID_ARGUMENT', `${what}, not ${String(value)}`);
}

/** @throws INVALID_ARGUMENT unless `value` is an integer of [from, to] */
export function checkInteger(name: string, value: number, from: number, to: number): void {
  if (!Number.isSafeInteger(value) || value < from || value > to)
    throw invalid(`${name} must be an integer from ${from} to ${to}`, value);
}

/** A position in the log. */
export function checkLsn(name: string, value: number): void {
  checkInteger(name, value, 0, Number.MAX_SAFE_INTEGER);
}

export function checkPath(name: string, value: string): void {
  if (typeof value !== 'string' || value === '' || value.includes('\0'))
    throw invalid(`${name} must be a path`, value);
}

export function checkBytes(name: string, value: Uint8Array, from: number, to: number): void {
  if (!(value instanceof Uint8Array)) throw invalid(`${name} must be bytes`, value);
  if (value.byteLength < from || value.byteLength > to)
    throw invalid(`${name} must be of ${from} to ${to} bytes`, value.byteLength);
}

export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw invalid(`${name} must be a function`, value);
}

export function checkFd(name: string, value: number): void {
  checkInteger(name, value, 0, 0x7fffffff);
}
