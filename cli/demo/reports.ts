// SPDX-License-Identifier: Apache-2.0
// What the counting client tells whoever started it.
import { z } from 'zod';

export const counterReportSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('window'),
    acknowledged: z.int(),
    replies: z.int(),
    medianMs: z.number(),
    worstMs: z.number(),
    /** Wall clock at which the slowest reply came, ms since 1970. */
    worstAtMs: z.number(),
  }),
  z.object({ kind: z.literal('finished'), acknowledged: z.int(), found: z.number() }),
  z.object({ kind: z.literal('broken'), words: z.string() }),
]);
export type CounterReport = z.infer<typeof counterReportSchema>;
export type Window = Extract<CounterReport, { kind: 'window' }>;
export type Finished = Extract<CounterReport, { kind: 'finished' }>;
