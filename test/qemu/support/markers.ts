// SPDX-License-Identifier: Apache-2.0
// What the marker of outputs adds to a log. The NIC transmits from a bottom half; QEMU logs the instructions executed so
// far, then the bottom half, then runs it, with the log locked and so with the vCPU at rest. The shim's marker
// (instructions executed since the last event) would stand directly behind the bottom half; there is nothing else
// that writes instructions there, because a vCPU's turn begins with a checkpoint.
import { events, openLog } from '../../../sidecar/io/log/index.js';

export interface OutputPoints {
  /** Bottom halves in the log. */
  readonly bottomHalves: number;
  /** Those behind which a marker stands: outputs that the log would not have covered without it. */
  readonly marked: number;
}

/** Counts in what a ring holds. */
export function outputPoints(ringFile: string): OutputPoints {
  const source = openLog(ringFile, { baseLsn: null });
  try {
    const all = events(source, { kinds: null, from: 0, to: Number.MAX_SAFE_INTEGER });
    let bottomHalves = 0;
    let marked = 0;
    let wasBottomHalf = false;
    for (let next = all.next(); next.done !== true; next = all.next()) {
      const { name } = next.value;
      if (wasBottomHalf && name === 'instructions') marked += 1;
      wasBottomHalf = name === 'bh' || name === 'bh-oneshot';
      if (wasBottomHalf) bottomHalves += 1;
    }
    return { bottomHalves, marked };
  } finally {
    source.close();
  }
}
