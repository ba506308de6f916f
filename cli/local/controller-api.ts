// SPDX-License-Identifier: Apache-2.0
// What a pair's controller says of itself: JSON over HTTP on its unix socket. Not from a file: a folder may be full.
import { z } from 'zod';
import { callUnix } from './unix-http.js';
import type { PairLayout } from './layout.js';

const TIMEOUT_MS = 1000;

/** GET /status */
export const controllerStatusSchema = z.object({
  /** What it does about the VM's protection: the row of its table that is met, and its words. */
  reason: z.string(),
  words: z.string(),
  /** The last attempt to give the VM a backup that came to nothing; null: none since it was protected last. */
  failure: z.object({ at: z.iso.datetime(), host: z.string(), text: z.string() }).nullable(),
});
export type ControllerStatus = z.infer<typeof controllerStatusSchema>;

/** Null: it does not run, or does not answer. */
export const controllerStatus = ({ controllerSocket }: PairLayout): Promise<ControllerStatus | null> =>
  callUnix({
    socket: controllerSocket,
    method: 'GET',
    path: '/status',
    timeoutMs: TIMEOUT_MS,
    answer: controllerStatusSchema,
  }).catch(() => null);

/** Why there is no backup, in a line. */
export function whyNoBackup({ words, failure }: ControllerStatus): string {
  if (failure === null) return words;
  return `${words}; the last attempt, on host ${failure.host} at ${failure.at}, failed: ${failure.text}`;
}
