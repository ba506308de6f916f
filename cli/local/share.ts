// SPDX-License-Identifier: Apache-2.0
// Who goes first on a machine that has fewer processors than a pair would like.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { systemCode } from './errors.js';

/** `first`: before everything else on the machine, compilers and browsers. `ordinary`: like everything else. */
export type Share = 'first' | 'ordinary';

const NICE: Readonly<Record<Share, number>> = { first: -10, ordinary: 0 };

const fileOf = (pid: number | 'self'): string => `/proc/${pid}/autogroup`;

/**
 * Gives the session of process `pid` its share. Linux shares processors out among sessions first (sched(7), "The
 * autogroup feature"); what nice(1) says counts only within one. A kernel without the feature looks at nice values
 * alone.
 */
export function shareSession(pid: number | 'self', share: Share): void {
  try {
    writeFileSync(fileOf(pid), String(NICE[share]));
  } catch (error) {
    // No such feature, no such process any more (its end is told elsewhere), or somebody who may not.
    if (!['ENOENT', 'ESRCH', 'EPERM', 'EACCES'].includes(systemCode(error) ?? '')) throw error;
  }
}

/** The share of a session as the kernel tells it; null: another one, or this kernel does not share out among sessions. */
export function sessionShare(pid: number): Share | null {
  if (!existsSync(fileOf('self'))) return null;
  const text = readFileSync(fileOf(pid), 'utf8');
  const nice = Number(/nice (-?\d+)/.exec(text)?.[1]);
  return NICE.first === nice ? 'first' : NICE.ordinary === nice ? 'ordinary' : null;
}
