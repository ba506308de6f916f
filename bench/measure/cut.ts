// SPDX-License-Identifier: Apache-2.0
import { DEFAULT_LIMITS } from '../../sidecar/protocol/limits.js';
import type { Measurement } from '../stage.js';
import { failover, gapRows, type Gap } from './gap.js';

/** What may come on top of the time after which a silent peer counts as dead. */
const BEYOND_DETECTION_MS = 150;
const AIM = { worst: DEFAULT_LIMITS.deadAfterMs + BEYOND_DETECTION_MS };

export const cut: Measurement = {
  name: 'cut',
  title: "Gap that a client sees when the primary's host loses its network (cable pulled)",
  async run(stage) {
    const rig = await stage.pair();
    const gaps: Gap[] = [];
    for (let n = 1; n <= stage.effort.cuts; n += 1) {
      const gap = await failover(
        rig,
        (host) => rig.cable(host, false),
        (host) => rig.cable(host, true),
      );
      stage.say(`cut ${n}: ${gap.gapMs.toFixed(0)} ms, ${gap.retransmits} segments sent again`);
      gaps.push(gap);
    }
    return {
      rows: [
        { what: 'longest wait', unit: 'ms', values: gaps.map((gap) => gap.gapMs), aim: AIM },
        ...gapRows(gaps),
      ],
      notes: [
        `A silent peer counts as dead after ${DEFAULT_LIMITS.deadAfterMs} ms; the aim allows ${BEYOND_DETECTION_MS} ms more.`,
      ],
    };
  },
};
