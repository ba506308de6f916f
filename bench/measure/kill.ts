// SPDX-License-Identifier: Apache-2.0
import type { Measurement } from '../stage.js';
import { failover, gapRows, type Gap } from './gap.js';

const AIM = { median: 100, worst: 300 };

export const kill: Measurement = {
  name: 'kill',
  title: "Gap that a client sees when the primary's host dies (SIGKILL to all on it)",
  async run(stage) {
    const rig = await stage.pair();
    const gaps: Gap[] = [];
    for (let n = 1; n <= stage.effort.kills; n += 1) {
      const gap = await failover(
        rig,
        (host) => rig.kill(host),
        () => Promise.resolve(),
      );
      stage.say(`kill ${n}: ${gap.gapMs.toFixed(0)} ms, ${gap.retransmits} segments sent again`);
      gaps.push(gap);
    }
    const again = gaps.filter((gap) => gap.retransmits > 0).length;
    return {
      rows: [
        { what: 'longest wait', unit: 'ms', values: gaps.map((gap) => gap.gapMs), aim: AIM },
        ...gapRows(gaps),
      ],
      notes: [
        `In ${again} of ${gaps.length} kills the client had to send its request again. One that was lost with the ` +
          "host costs the client's own retransmission time-out: 200 ms or more, whatever is done here.",
        'Every reply was checked: one more than the one before.',
      ],
    };
  },
};
