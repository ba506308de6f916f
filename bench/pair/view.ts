// SPDX-License-Identifier: Apache-2.0
// The part of a sidecar's GET /status that is measured by.
import { z } from 'zod';
import { callUnix } from '../../cli/local/unix-http.js';

const ANSWER_MS_MAX = 2000;

export const sidecarViewSchema = z.looseObject({
  role: z.string(),
  phase: z.string(),
  numbers: z
    .looseObject({
      produced: z.number(),
      acked: z.number(),
      consumed: z.number(),
      lagMs: z.number(),
      heldOutputs: z.number(),
      pacePermille: z.number(),
    })
    .nullable(),
  engine: z.looseObject({ clonePauseUs: z.number(), ringWaits: z.number(), heldMs: z.number() }),
  lastFailover: z.looseObject({ at: z.string(), goLiveMs: z.number() }).nullable(),
  journal: z.array(z.looseObject({ at: z.string(), reason: z.string(), message: z.string() })),
});
export type SidecarView = z.infer<typeof sidecarViewSchema>;

export const viewSidecar = (controlSocket: string): Promise<SidecarView> =>
  callUnix({
    socket: controlSocket,
    method: 'GET',
    path: '/status',
    timeoutMs: ANSWER_MS_MAX,
    answer: sidecarViewSchema,
  });

/** Wall clock of the journal's first entry with this reason at or after `fromMs`, ms since 1970. */
export function journalTime(view: SidecarView, reason: string, fromMs = 0): number | null {
  const times = view.journal.filter((entry) => entry.reason === reason).map((entry) => Date.parse(entry.at));
  return times.find((at) => at >= fromMs) ?? null;
}
