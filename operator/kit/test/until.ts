// SPDX-License-Identifier: Apache-2.0
import type { FakeTime } from './fake-time.js';

const GIVE_UP_AFTER_MS = 50_000;

/** Waits for I/O on loopback until `holds`; meanwhile `time` moves on by `stepMs` a turn. */
export async function until(
  what: string,
  holds: () => boolean,
  time: FakeTime | null = null,
  stepMs = 20,
): Promise<void> {
  const giveUpMs = performance.now() + GIVE_UP_AFTER_MS;
  while (!holds()) {
    if (performance.now() > giveUpMs) throw new Error(`not within ${GIVE_UP_AFTER_MS} ms: ${what}`);
    await time?.advance(stepMs);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
