// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 20;

/**
 * Looks again and again until `look` gives something.
 * @throws Error that tells what was waited for and what `meanwhile` said last.
 */
export async function until<T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | undefined>,
  meanwhile: () => string = () => '',
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (performance.now() > deadline) {
      throw new Error(`${what}: not within ${timeoutMs / 1000} s. ${meanwhile()}`);
    }
    await sleep(POLL_MS);
  }
}
