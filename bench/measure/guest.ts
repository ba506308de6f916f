// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { bootBare } from '../bare.js';
import type { Row } from '../report.js';
import type { Measurement } from '../stage.js';
import type { Station } from '../station/station.js';
import { WORKS } from '../work.js';

const SETTLE_MS = 1500;
const MS_PER_S = 1000;

const MODES = ['plain TCG', 'icount', 'recording, unprotected', 'protected'] as const;
type Mode = (typeof MODES)[number];

/** Seconds: by work, by mode, one value a round. */
type Times = Map<string, Map<Mode, number[]>>;

async function doAll(times: Times, mode: Mode, station: Station): Promise<void> {
  await sleep(SETTLE_MS);
  for (const work of WORKS) {
    const byMode = times.get(work.name) ?? new Map<Mode, number[]>();
    times.set(work.name, byMode);
    byMode.set(mode, [...(byMode.get(mode) ?? []), (await work.run(station)) / MS_PER_S]);
  }
}

function rowsOf(words: string, byMode: ReadonlyMap<Mode, readonly number[]>): Row[] {
  const of = (mode: Mode) => byMode.get(mode) ?? [];
  const ratios = (mode: Mode, to: Mode) => of(mode).map((one, round) => one / (of(to)[round] ?? Number.NaN));
  const [plain, icount, ...ours] = MODES;
  return [
    ...MODES.map((mode, at): Row => ({
      what: at === 0 ? `${words}: ${mode}` : `  ${mode}`,
      unit: 's',
      values: of(mode),
    })),
    ...[icount, ...ours].map((mode): Row => ({
      what: `  ${mode} / ${plain}`,
      unit: 'x',
      values: ratios(mode, plain),
    })),
    ...ours.map((mode): Row => ({ what: `  ${mode} / ${icount}`, unit: 'x', values: ratios(mode, icount) })),
  ];
}

export const guest: Measurement = {
  name: 'guest',
  title: 'Work inside the guest: the same machine under four ways to run it, in turn',
  async run(stage) {
    const rig = await stage.pair();
    const [plain, icount] = [await bootBare(stage.cleanup, 'plain'), await bootBare(stage.cleanup, 'icount')];
    const times: Times = new Map();
    try {
      for (let round = 1; round <= stage.effort.workRounds; round += 1) {
        await rig.unprotect();
        await doAll(times, 'plain TCG', plain.station);
        await doAll(times, 'icount', icount.station);
        await doAll(times, 'recording, unprotected', rig.station);
        await rig.protect();
        await doAll(times, 'protected', rig.station);
        stage.say(`guest work, round ${round} of ${stage.effort.workRounds}`);
      }
    } finally {
      await plain.down();
      await icount.down();
    }
    return {
      rows: WORKS.flatMap((work) => rowsOf(work.words, times.get(work.name) ?? new Map())),
      notes: [
        'Timed from outside. Protected: primary, backup and both sidecars share the cores of this one machine.',
      ],
    };
  },
};
