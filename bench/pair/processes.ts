// SPDX-License-Identifier: Apache-2.0
// What a process costs, by /proc (proc(5)).
import { readFile } from 'node:fs/promises';
import { BenchError } from '../errors.js';
import { monotonicMs } from '../station/messages.js';

/** USER_HZ: fixed in Linux' ABI on x86. */
const TICKS_PER_S = 100;
const KIB_PER_MIB = 1024;

export interface Cost {
  /** When it was read, CLOCK_MONOTONIC, ms. */
  readonly atMs: number;
  /** User and system time of all threads, ms. */
  readonly cpuMs: number;
}

export async function costOf(pid: number): Promise<Cost> {
  const text = await processFile(pid, 'stat');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return { atMs: monotonicMs(), cpuMs: (ticks * 1000) / TICKS_PER_S };
}

/** Percent of one core between two readings. */
export const cpuPercent = (from: Cost, to: Cost): number =>
  ((to.cpuMs - from.cpuMs) / (to.atMs - from.atMs)) * 100;

/** Memory held, as the kernel counts it (the ring and shared libraries included), MiB. */
export async function residentMiB(pid: number): Promise<number> {
  const status = await processFile(pid, 'status');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / KIB_PER_MIB;
}

async function processFile(pid: number, name: string): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/${name}`, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new BenchError(`process ${pid}, which was measured, has ended: its host's log says why`);
  }
}
