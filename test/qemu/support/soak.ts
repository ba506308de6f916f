// SPDX-License-Identifier: Apache-2.0
// Memory and queues of both sides under a load that does not end.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { DEFAULT_LIMITS } from '../../../sidecar/protocol/limits.js';
import type { Side, TestPair } from './pair.js';
import { words } from './pair.js';

const SAMPLE_MS = 1000;
const KIB_A_MIB = 1024;
const MINUTE_MS = 60_000;

/** What the soak watches, by name. */
export const WATCHED = ['primary sidecar', 'primary QEMU', 'backup sidecar', 'backup QEMU'] as const;
export type Watched = (typeof WATCHED)[number];

/** Memory of one process, MiB. */
export interface Memory {
  /** Its own: heap, stacks, buffers. */
  readonly ownMiB: number;
  /** Shared pages it has touched: the ring, which is as large as it was made. */
  readonly sharedMiB: number;
}

export interface Sample {
  readonly atMs: number;
  readonly memory: Readonly<Record<Watched, Memory>>;
  readonly heldOutputs: number;
  readonly heldBytes: number;
  readonly retainedOutputs: number;
  readonly lagMs: number;
}

export interface Growth {
  readonly who: Watched;
  readonly firstMiB: number;
  readonly lastMiB: number;
  readonly maxMiB: number;
  /** Least-squares slope of the own memory over the second half of the samples, MiB a minute. */
  readonly slopeMiBPerMinute: number;
  readonly sharedMaxMiB: number;
}

async function memoryOf(pid: number): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  return { ownMiB: kib('RssAnon') / KIB_A_MIB, sharedMiB: kib('RssShmem') / KIB_A_MIB };
}

/** The fast numbers of a sidecar's own words; sidecar/protocol/status.ts has their meanings. */
const saidSchema = z.object({
  numbers: z.object({
    lagMs: z.number(),
    heldOutputs: z.number(),
    heldBytes: z.number(),
    retainedOutputs: z.number(),
  }),
});

async function sample(pair: TestPair, primary: Side, backup: Side): Promise<Sample> {
  const status = await pair.status();
  if (status.status !== 'Protected') throw new Error(`not protected any more: ${words(status)}`);
  const said = [primary, backup].map((side) =>
    saidSchema.parse(status.hosts.find((host) => host.name === side.host.name)?.sidecar),
  );
  const [a, b, c, d] = await Promise.all(
    [primary.sidecarPid, primary.qemuPid, backup.sidecarPid, backup.qemuPid].map(memoryOf),
  );
  const [one, two] = said;
  if (!one || !two || !a || !b || !c || !d) throw new Error('a pair has two sides');
  return {
    atMs: performance.now(),
    memory: { 'primary sidecar': a, 'primary QEMU': b, 'backup sidecar': c, 'backup QEMU': d },
    heldOutputs: one.numbers.heldOutputs,
    heldBytes: one.numbers.heldBytes,
    retainedOutputs: two.numbers.retainedOutputs,
    lagMs: one.numbers.lagMs,
  };
}

/** Samples for so long; `goOn` is called with each, and may throw. */
export async function soak(
  pair: TestPair,
  durationMs: number,
  goOn: (sample: Sample) => Promise<void>,
): Promise<Sample[]> {
  const [primary, backup] = [await pair.primary(), await pair.backup()];
  const samples: Sample[] = [];
  const until = performance.now() + durationMs;
  while (performance.now() < until) {
    const one = await sample(pair, primary, backup);
    samples.push(one);
    await goOn(one);
    await sleep(SAMPLE_MS);
  }
  return samples;
}

/** Least-squares slope of `points`, y per x. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const above = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  const below = points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  return below === 0 ? 0 : above / below;
}

/** The first half is for warming up: heaps grow to their working size, the ring fills, the guest's memory is touched. */
export function growth(samples: readonly Sample[]): Growth[] {
  const late = samples.slice(Math.floor(samples.length / 2));
  return WATCHED.map((who) => {
    const own = samples.map(({ memory }) => memory[who].ownMiB);
    return {
      who,
      firstMiB: own[0] ?? 0,
      lastMiB: own.at(-1) ?? 0,
      maxMiB: Math.max(...own),
      slopeMiBPerMinute: slope(late.map(({ atMs, memory }) => [atMs / MINUTE_MS, memory[who].ownMiB])),
      sharedMaxMiB: Math.max(...samples.map(({ memory }) => memory[who].sharedMiB)),
    };
  });
}

export interface QueuePeaks {
  readonly heldOutputs: number;
  readonly heldBytes: number;
  readonly retainedOutputs: number;
  readonly lagMs: number;
}

export function queuePeaks(samples: readonly Sample[]): QueuePeaks {
  const peak = (pick: (sample: Sample) => number) => Math.max(...samples.map(pick));
  return {
    heldOutputs: peak((one) => one.heldOutputs),
    heldBytes: peak((one) => one.heldBytes),
    retainedOutputs: peak((one) => one.retainedOutputs),
    lagMs: peak((one) => one.lagMs),
  };
}

/** The bounds of the same queues. */
export const QUEUE_BOUNDS = {
  heldOutputs: DEFAULT_LIMITS.heldOutputsMax + DEFAULT_LIMITS.holdSlackOutputs,
  heldBytes: DEFAULT_LIMITS.heldBytesMax + DEFAULT_LIMITS.holdSlackBytes,
  retainedOutputs: DEFAULT_LIMITS.heldOutputsMax + 2 * DEFAULT_LIMITS.holdSlackOutputs,
} as const;
