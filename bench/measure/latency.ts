// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { BenchError } from '../errors.js';
import type { PairRig } from '../pair/rig.js';
import type { Row } from '../report.js';
import type { Measurement, Stage } from '../stage.js';
import { median, percentile } from '../statistics.js';

const ADDED_MS_MAX = 1;
const SETTLE_MS = 1500;

/** How the client asks: at once after each reply, or with some time of its own. */
const PACES = [
  { words: 'one request after the other', pauseMs: 0 },
  { words: 'a request every 10 ms', pauseMs: 10 },
] as const;

interface Seen {
  readonly median: number;
  readonly p99: number;
}

async function look(rig: PairRig, pauseMs: number, windowMs: number): Promise<Seen> {
  await rig.station.count(pauseMs);
  await sleep(SETTLE_MS / 3);
  await rig.station.window();
  await sleep(windowMs);
  const waits = (await rig.station.window()).waits.map(([, waited]) => waited);
  await rig.station.rest();
  if (waits.length === 0) throw new BenchError('the client got no reply');
  return { median: median(waits), p99: percentile(waits, 99) };
}

async function lookAll(stage: Stage, rig: PairRig): Promise<Seen[]> {
  await sleep(SETTLE_MS);
  const seen: Seen[] = [];
  for (const { pauseMs } of PACES) seen.push(await look(rig, pauseMs, stage.effort.latencyWindowMs));
  return seen;
}

const row = (what: string, values: number[]): Row => ({ what, unit: 'ms', values });

export const latency: Measurement = {
  name: 'latency',
  title: 'Time to a reply (INCR to the Redis in the guest), unprotected and protected in turn',
  async run(stage) {
    const rig = await stage.pair();
    const cycles: { alone: Seen[]; guarded: Seen[] }[] = [];
    for (let n = 1; n <= stage.effort.latencyCycles; n += 1) {
      await rig.unprotect();
      const alone = await lookAll(stage, rig);
      await rig.protect();
      const guarded = await lookAll(stage, rig);
      stage.say(
        `latency ${n}: ${alone[0]?.median.toFixed(2)} ms alone, ${guarded[0]?.median.toFixed(2)} ms protected`,
      );
      cycles.push({ alone, guarded });
    }
    const rows = PACES.flatMap(({ words }, at): Row[] => {
      const pick = (side: 'alone' | 'guarded', key: keyof Seen) =>
        cycles.map((cycle) => cycle[side][at]?.[key] ?? Number.NaN);
      const [alone, guarded] = [pick('alone', 'median'), pick('guarded', 'median')];
      return [
        row(`${words}: unprotected, median`, alone),
        row('  protected, median', guarded),
        {
          ...row(
            '  added at the median',
            guarded.map((one, i) => one - (alone[i] ?? Number.NaN)),
          ),
          aim: { median: ADDED_MS_MAX },
        },
        row('  unprotected, 99th percentile', pick('alone', 'p99')),
        row('  protected, 99th percentile', pick('guarded', 'p99')),
      ];
    });
    return { rows, notes: ['Each value is of one window; N windows of each kind, in turn, on the same VM.'] };
  },
};
