// SPDX-License-Identifier: Apache-2.0
// Fixed amounts of work for the guest, timed from outside: a guest's own clock is slowed or sped up with it.
import type { Station } from './station/station.js';

export interface Work {
  readonly name: string;
  readonly words: string;
  /** ms from asking to the answer. */
  run(station: Station): Promise<number>;
}

const command = (name: string, words: string, line: string): Work => ({
  name,
  words,
  run: async (station) => (await station.command(line)).tookMs,
});

export const WORKS: readonly Work[] = [
  command('md5', 'md5 of 24 MiB', 'md5 24'),
  command('forks', '200 processes made and run', 'forks 200'),
  command('redis', '4000 INCR, client and Redis both in the guest', 'incr 4000'),
];
