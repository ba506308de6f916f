// SPDX-License-Identifier: Apache-2.0
// What several verbs' options have in common.
import { InvalidArgumentError, Option } from 'commander';
import { DEFAULT_MACHINE } from '../local/pair.js';
import { MEMORY_MIB_MAX, MEMORY_MIB_MIN } from '../local/settings.js';

export const DEFAULT_PAIR = 'local';

export const pairOption = (): Option => new Option('-p, --pair <name>', 'which pair').default(DEFAULT_PAIR);

export const timeoutOption = (seconds: number): Option =>
  new Option('--timeout <seconds>', 'how long to wait').default(seconds).argParser(positiveNumber);

export const noWaitOption = (): Option => new Option('--no-wait', 'only ask for it, do not wait for it');

export const yesOption = (): Option => new Option('-y, --yes', 'do not ask whether this is meant');

export const memoryOption = (whose: string): Option =>
  new Option('--memory <MiB>', whose)
    .default(DEFAULT_MACHINE.memoryMiB)
    .argParser(wholeNumber(MEMORY_MIB_MIN, MEMORY_MIB_MAX));

export const outputOption = (): Option =>
  new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text');

export function positiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError('It must be a number above 0.');
  }
  return value;
}

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}
