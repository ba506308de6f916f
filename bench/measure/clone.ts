// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { BenchError } from '../errors.js';
import type { PairRig } from '../pair/rig.js';
import { journalTime } from '../pair/view.js';
import type { Row } from '../report.js';
import type { Wait } from '../station/messages.js';
import type { Measurement, Stage } from '../stage.js';

const PAUSE_MS_MAX = 30;
const SETTLE_MS = 1500;
const US_PER_MS = 1000;

/** Part of the guest's memory holds data: empty pages would cost nothing. */
const GUESTS = [
  { memoryMiB: 256, filledMiB: 64 },
  { memoryMiB: 1024, filledMiB: 768 },
] as const;

/** Small: Redis holds a piece several times while it makes it. */
const PIECE_MIB = 4;
/** Makes a string in the guest's Redis, so that the memory is used and no two pages of it are empty. */
const FILL = `redis.call('SET', KEYS[1], string.rep(KEYS[1] .. ' lockstep ', ARGV[1] * 1048576 / (#KEYS[1] + 10)))`;

interface Pause {
  /** Longest wait from the clone's begin to the backup's replay. */
  readonly clientMs: number;
  /** Longest wait from there until the VM is protected. */
  readonly catchUpMs: number;
  /** Longest wait in the moments before it. */
  readonly beforeMs: number;
  readonly shimMs: number;
  readonly protectMs: number;
}

async function fill(rig: PairRig, mib: number): Promise<void> {
  for (let n = 0; n * PIECE_MIB < mib; n += 1) {
    await rig.station.redis(['EVAL', FILL, '1', `piece${n}`, String(PIECE_MIB)]);
  }
}

const longest = (waits: readonly Wait[]): number => {
  if (waits.length === 0) throw new BenchError('the client got no reply');
  return waits.reduce((worst, [, waited]) => Math.max(worst, waited), 0);
};

async function once(rig: PairRig): Promise<Pause> {
  await rig.unprotect();
  await rig.station.count(0);
  await sleep(SETTLE_MS);
  await rig.station.window();
  await sleep(SETTLE_MS);
  const before = await rig.station.window();
  const wallToMonotonic = Number(process.hrtime.bigint()) / 1e6 - Date.now();
  const askedAt = Date.now();
  const { primary } = await rig.protect();
  const during = await rig.station.window();
  const view = await rig.sidecar(primary);
  const begin = journalTime(view, 'cloning', askedAt);
  const end = journalTime(view, 'catchingUp', askedAt);
  const done = journalTime(view, 'protected', askedAt);
  if (begin === null || end === null || done === null) throw new BenchError('the journal lacks the clone');
  const between = (from: number, to: number) =>
    during.waits.filter(
      ([sentAt, waited]) => sentAt + waited >= from + wallToMonotonic && sentAt <= to + wallToMonotonic,
    );
  return {
    clientMs: longest(between(begin, end)),
    catchUpMs: longest(between(end, done)),
    beforeMs: longest(before.waits),
    shimMs: view.engine.clonePauseUs / US_PER_MS,
    protectMs: done - begin,
  };
}

async function measure(stage: Stage, guest: (typeof GUESTS)[number]): Promise<Row[]> {
  const rig = await stage.pair(guest.memoryMiB);
  await fill(rig, guest.filledMiB);
  const pauses: Pause[] = [];
  for (let n = 1; n <= stage.effort.clones; n += 1) {
    const pause = await once(rig);
    stage.say(
      `clone ${n}, ${guest.memoryMiB} MiB: client waited ${pause.clientMs.toFixed(1)} ms, guest stood ${pause.shimMs.toFixed(1)} ms`,
    );
    pauses.push(pause);
  }
  const row = (what: string, pick: (pause: Pause) => number): Row => ({
    what,
    unit: 'ms',
    values: pauses.map(pick),
  });
  return [
    {
      ...row(`${guest.memoryMiB} MiB: longest wait of the client`, (pause) => pause.clientMs),
      aim: { worst: PAUSE_MS_MAX },
    },
    row('  longest wait while the backup catches up', (pause) => pause.catchUpMs),
    row('  longest wait just before, without a clone', (pause) => pause.beforeMs),
    row('  guest stood still, as the shim says', (pause) => pause.shimMs),
    row('  clone begun -> protected', (pause) => pause.protectMs),
  ];
}

export const clone: Measurement = {
  name: 'clone',
  title: 'Pause at the clone of a running VM',
  async run(stage) {
    const rows: Row[] = [];
    for (const guest of GUESTS) rows.push(...(await measure(stage, guest)));
    const sizes = GUESTS.map(({ memoryMiB, filledMiB }) => `${filledMiB} of ${memoryMiB} MiB`);
    return {
      rows,
      notes: [
        `Memory filled with data: ${sizes.join(', ')}.`,
        "The client's longest wait is taken over the whole clone, its copying in the background included; what comes then, until the backup has replayed what was logged meanwhile, is in the next row.",
      ],
    };
  },
};
