// SPDX-License-Identifier: Apache-2.0
// Markers of outputs in a log. QEMU writes the instructions executed since the last event before each event, and
// only then; so instructions behind which instructions follow were written by the shim, for an output.
import { events, openLog } from '../../../sidecar/io/log/index.js';

export interface MarkerCount {
  readonly events: number;
  readonly markers: number;
}

/** Counts in what a ring holds from `from` on. */
export function countMarkers(ringFile: string, from = 0): MarkerCount {
  const source = openLog(ringFile, { baseLsn: null });
  try {
    const all = events(source, { kinds: null, from, to: Number.MAX_SAFE_INTEGER });
    let count = 0;
    let markers = 0;
    let wereInstructions = false;
    for (let next = all.next(); next.done !== true; next = all.next()) {
      const areInstructions = next.value.name === 'instructions';
      if (wereInstructions && areInstructions) markers += 1;
      wereInstructions = areInstructions;
      count += 1;
    }
    return { events: count, markers };
  } finally {
    source.close();
  }
}
