// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { bootBare } from '../bare.js';
import type { PairRig } from '../pair/rig.js';
import type { Aim, Row } from '../report.js';
import type { Measurement, Stage } from '../stage.js';
import { monotonicMs } from '../station/messages.js';
import type { Station } from '../station/station.js';
import { WORKS } from '../work.js';

const SETTLE_MS = 1500;
const IDLE_MS = 1000;
const US_PER_MS = 1000;
const MS_PER_S = 1000;
const S_PER_MIN = 60;
/** Where guestd's `note` has its clock. */
const CLOCK_WORD = 4;

const MODES = ['plain TCG', 'recording, unprotected', 'protected'] as const;
type Mode = (typeof MODES)[number];

interface Load {
  readonly words: string;
  run(station: Station): Promise<unknown>;
}

const LOADS: readonly Load[] = [
  { words: 'idle', run: () => sleep(IDLE_MS) },
  ...WORKS.map((work): Load => ({ words: work.words, run: (station) => work.run(station) })),
];

/** One moment on the guest's clock and on ours. */
interface Reading {
  readonly guestMs: number;
  readonly realMs: number;
}

async function read(station: Station): Promise<Reading> {
  const from = monotonicMs();
  const { words } = await station.command('note');
  return { guestMs: Number(words[CLOCK_WORD]) / US_PER_MS, realMs: (from + monotonicMs()) / 2 };
}

const behindMs = (from: Reading, now: Reading): number =>
  now.realMs - from.realMs - (now.guestMs - from.guestMs);

interface Seen {
  readonly driftSPerMin: number;
  /** After each piece of work. */
  readonly behindMs: readonly number[];
  readonly behindAfterIdleMs: number;
}

async function watch(load: Load, station: Station, forMs: number): Promise<Seen> {
  await sleep(SETTLE_MS);
  const from = await read(station);
  const behind: number[] = [];
  let now = from;
  while (now.realMs - from.realMs < forMs) {
    await load.run(station);
    now = await read(station);
    behind.push(behindMs(from, now));
  }
  const drift = behindMs(from, now) / (now.realMs - from.realMs);
  await sleep(IDLE_MS);
  return {
    driftSPerMin: drift * S_PER_MIN,
    behindMs: behind,
    behindAfterIdleMs: behindMs(from, await read(station)),
  };
}

type ByMode = ReadonlyMap<Mode, readonly Seen[]>;

const BUSY_AIM: Aim = { worst: MS_PER_S };
const IDLE_AIM: Aim = { worst: 100 };

function rowsOf(load: Load, byMode: ByMode): Row[] {
  return MODES.flatMap((mode, at): Row[] => {
    const seen = byMode.get(mode) ?? [];
    const ours = at > 0;
    return [
      {
        what: at === 0 ? `${load.words}: ${mode}` : `  ${mode}`,
        unit: 's/min',
        values: seen.map((one) => one.driftSPerMin),
      },
      {
        what: '    behind',
        unit: 'ms',
        values: seen.flatMap((one) => one.behindMs),
        ...(ours ? { aim: BUSY_AIM } : {}),
      },
      {
        what: '    behind after an idle second',
        unit: 'ms',
        values: seen.map((one) => one.behindAfterIdleMs),
        ...(ours ? { aim: IDLE_AIM } : {}),
      },
    ];
  });
}

/** The primary's host dies while the guest works; an idle second later. */
async function overFailover(load: Load, rig: PairRig): Promise<number> {
  const { primary } = await rig.protect();
  const from = await read(rig.station);
  await load.run(rig.station);
  await rig.kill(primary ?? '');
  await rig.moved(primary ?? '');
  await sleep(IDLE_MS);
  return behindMs(from, await read(rig.station));
}

async function failovers(rig: PairRig, stage: Stage): Promise<Row> {
  const values: number[] = [];
  for (let n = 0; n < stage.effort.busyKills; n += 1) {
    for (const load of LOADS) values.push(await overFailover(load, rig));
  }
  return { what: 'failover, and an idle second: behind', unit: 'ms', values, aim: IDLE_AIM };
}

export const clock: Measurement = {
  name: 'clock',
  title: "The guest's clock beside real time",
  async run(stage) {
    const rig = await stage.pair();
    const plain = await bootBare(stage.cleanup, 'plain');
    const seen = new Map(LOADS.map((load) => [load, new Map<Mode, Seen[]>(MODES.map((mode) => [mode, []]))]));
    const watchAll = async (mode: Mode, station: Station): Promise<void> => {
      for (const [load, byMode] of seen) {
        const one = await watch(load, station, stage.effort.loadMs);
        byMode.get(mode)?.push(one);
        stage.say(`clock, ${mode}, ${load.words}: ${one.driftSPerMin.toFixed(2)} s/min`);
      }
    };
    try {
      await rig.unprotect();
      await watchAll('plain TCG', plain.station);
      await watchAll('recording, unprotected', rig.station);
      await rig.protect();
      await watchAll('protected', rig.station);
    } finally {
      await plain.down();
    }
    return {
      rows: [...[...seen].flatMap(([load, byMode]) => rowsOf(load, byMode)), await failovers(rig, stage)],
      notes: [
        'Drift: how much less time passes for the guest, from the first reading to the last; negative: more.',
        'Behind: since the first reading, looked at after each piece of work.',
      ],
    };
  },
};
