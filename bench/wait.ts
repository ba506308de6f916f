// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { BenchError } from './errors.js';

/** Looking costs the machine that is measured some time: not too often. */
const LOOK_MS = 50;

/** Looks until there is something. @throws BenchError with the last `seen()` when there is nothing in time. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | null>,
  seen: () => string = () => '',
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > deadline) {
      throw new BenchError(`${what}: not within ${timeoutMs / 1000} s. ${seen()}`.trim());
    }
    await sleep(LOOK_MS);
  }
}
