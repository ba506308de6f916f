// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { BenchError } from '../errors.js';
import { costOf, cpuPercent, residentMiB, type Cost } from '../pair/processes.js';
import type { PairRig } from '../pair/rig.js';
import { viewSidecar } from '../pair/view.js';
import type { Row } from '../report.js';
import type { Measurement } from '../stage.js';
import { monotonicMs } from '../station/messages.js';
import { WORKS } from '../work.js';

const SETTLE_MS = 1500;
/** Often enough to see the lag move, seldom enough not to be the load. */
const SAMPLE_MS = 100;
const BITS_PER_BYTE = 8;
/** Bits per ms are kbit/s. */
const KBIT_PER_MBIT = 1000;

interface Load {
  readonly words: string;
  /** Keeps the guest busy until told to stop; resolves when the last piece of work is done. */
  run(rig: PairRig, goOn: () => boolean): Promise<unknown>;
}

const LOADS: readonly Load[] = [
  { words: 'idle', run: () => Promise.resolve() },
  ...WORKS.map((work): Load => ({
    words: work.name === 'redis' ? 'Redis, client in the guest' : work.name,
    run: async (rig, goOn) => {
      while (goOn()) await work.run(rig.station);
    },
  })),
  {
    words: 'Redis, client outside',
    run: async (rig, goOn) => {
      await rig.station.count(0);
      while (goOn()) await sleep(SAMPLE_MS);
      await rig.station.rest();
    },
  },
];

const PARTS = ['primary sidecar', 'backup sidecar', 'primary QEMU', 'backup QEMU'] as const;

interface Seen {
  readonly mbitPerS: number;
  readonly lagMs: readonly number[];
  readonly pacePermille: readonly number[];
  readonly cpu: readonly number[];
  readonly residentMiB: readonly number[];
}

interface Sides {
  readonly socket: string;
  /** In the order of PARTS. */
  readonly pids: readonly number[];
}

async function sides(rig: PairRig): Promise<Sides> {
  const { primary, backup } = await rig.protect();
  const [first, second] = [await rig.hostStatus(primary), await rig.hostStatus(backup)];
  const pids = [first.sidecarPid, second.sidecarPid, first.qemuPid, second.qemuPid].map(Number);
  return { socket: first.controlSocket ?? '', pids };
}

const costs = (pids: readonly number[]): Promise<Cost[]> => Promise.all(pids.map(costOf));

async function observe({ socket, pids }: Sides, forMs: number): Promise<Seen> {
  const samples: { atMs: number; produced: number; lagMs: number; pacePermille: number }[] = [];
  const before = await costs(pids);
  const deadline = monotonicMs() + forMs;
  while (monotonicMs() < deadline) {
    const { numbers } = await viewSidecar(socket);
    if (numbers === null) throw new BenchError('the primary gives no numbers');
    samples.push({ atMs: monotonicMs(), ...numbers });
    await sleep(SAMPLE_MS);
  }
  const after = await costs(pids);
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) throw new BenchError('too short to see anything');
  const bits = (last.produced - first.produced) * BITS_PER_BYTE;
  return {
    mbitPerS: bits / (last.atMs - first.atMs) / KBIT_PER_MBIT,
    lagMs: samples.map((sample) => sample.lagMs),
    pacePermille: samples.map((sample) => sample.pacePermille),
    cpu: pids.map((_, at) => {
      const [from, to] = [before[at], after[at]];
      return from === undefined || to === undefined ? Number.NaN : cpuPercent(from, to);
    }),
    residentMiB: await Promise.all(pids.map(residentMiB)),
  };
}

function rowsOf(load: Load, seen: Seen): Row[] {
  return [
    { what: `${load.words}: log`, unit: 'Mbit/s', values: [seen.mbitPerS] },
    { what: '  lag', unit: 'ms', values: seen.lagMs },
    {
      what: '  vCPU time taken away so that the backup keeps up',
      unit: '%',
      values: seen.pacePermille.map((p) => p / 10),
    },
    ...PARTS.map((part, at): Row => ({
      what: `  CPU of the ${part}`,
      unit: '%',
      values: [seen.cpu[at] ?? Number.NaN],
    })),
    ...PARTS.slice(0, 2).map((part, at): Row => ({
      what: `  memory of the ${part}`,
      unit: 'MiB',
      values: [seen.residentMiB[at] ?? Number.NaN],
    })),
  ];
}

export const load: Measurement = {
  name: 'load',
  title: 'Log, lag and cost of a protected VM under load',
  async run(stage) {
    const rig = await stage.pair();
    const rows: Row[] = [];
    for (const one of LOADS) {
      const both = await sides(rig);
      let busy = true;
      const running = one.run(rig, () => busy);
      running.catch(() => undefined); // told below, after what was seen
      await sleep(SETTLE_MS);
      const seen = await observe(both, stage.effort.loadMs);
      busy = false;
      await running;
      stage.say(`load '${one.words}': ${seen.mbitPerS.toFixed(1)} Mbit/s`);
      rows.push(...rowsOf(one, seen));
    }
    return {
      rows,
      notes: [
        `Lag: age of the oldest log that the backup has not replayed, looked at every ${SAMPLE_MS} ms.`,
        "CPU: of one core. A sidecar's memory includes the pages of the shared ring that it has touched.",
      ],
    };
  },
};
