// SPDX-License-Identifier: Apache-2.0
import type { PairRig } from '../pair/rig.js';
import type { Row } from '../report.js';
import type { Measurement, Stage } from '../stage.js';
import { WORKS, type Work } from '../work.js';
import { failover, type Gap } from './gap.js';

/** Kills the primary's host while the guest works; what the backup is behind by then it must replay first. */
async function killUnder(work: Work, rig: PairRig): Promise<Gap> {
  const over = new AbortController();
  const working = (async () => {
    while (!over.signal.aborted) await work.run(rig.station);
  })();
  working.catch(() => undefined); // told below, after the failover
  try {
    return await failover(
      rig,
      (host) => rig.kill(host),
      () => Promise.resolve(),
    );
  } finally {
    over.abort();
    await working;
  }
}

async function gaps(work: Work, rig: PairRig, stage: Stage): Promise<Gap[]> {
  const seen: Gap[] = [];
  for (let n = 1; n <= stage.effort.busyKills; n += 1) {
    const gap = await killUnder(work, rig);
    stage.say(`kill ${n} under ${work.name}: ${gap.gapMs.toFixed(0)} ms`);
    seen.push(gap);
  }
  return seen;
}

export const busy: Measurement = {
  name: 'busy',
  title: "Gap that a client sees when the primary's host dies while the guest works",
  async run(stage) {
    const rig = await stage.pair();
    const rows: Row[] = [];
    for (const work of WORKS) {
      const seen = await gaps(work, rig, stage);
      rows.push(
        { what: `${work.words}: longest wait`, unit: 'ms', values: seen.map((gap) => gap.gapMs) },
        {
          what: '  lease won -> live: replay of what the backup was behind',
          unit: 'ms',
          values: seen.map((gap) => gap.goLiveMs).filter((ms) => ms !== null),
        },
      );
    }
    return { rows, notes: ["The client's request waits behind the work in the guest's one vCPU, too."] };
  },
};
