// SPDX-License-Identifier: Apache-2.0
/** Time and chance are handed in, so that a test decides about both. */

export interface Time {
  /** Monotonic, ms: never set, never stepped. Also counts while this process is paused. */
  now(): number;
  /** Calls `fire` once after `delayMs`; the function returned calls it off. */
  after(delayMs: number, fire: () => void): () => void;
}

/** Uniform in [0, 1). */
export type Random = () => number;

/** Longest delay of a timer of Node: a longer one would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export const realTime: Time = {
  now: () => performance.now(),
  after: (delayMs, fire) => {
    const timer = setTimeout(fire, Math.min(Math.max(0, delayMs), TIMER_MS_MAX));
    return () => {
      clearTimeout(timer);
    };
  },
};

/** Resolves after `delayMs`, or at once when `signal` aborts. For loops that supervise; never within a reconcile. */
export function pause(time: Time, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const over = (): void => {
      signal.removeEventListener('abort', over);
      cancel();
      resolve();
    };
    const cancel = time.after(delayMs, over);
    signal.addEventListener('abort', over);
  });
}
