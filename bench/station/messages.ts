// SPDX-License-Identifier: Apache-2.0
// What is said between a measurement and its station: one JSON object a line, answers by the order's id.
import { z } from 'zod';

/** One request and its reply: [sent at, waited], ms. Times are of CLOCK_MONOTONIC, the same for all processes. */
export const waitSchema = z.tuple([z.number(), z.number()]);
export type Wait = z.infer<typeof waitSchema>;

export const orderSchema = z.discriminatedUnion('op', [
  /** Begin to count, or go on: INCR over one connection, the next `pauseMs` after the reply. */
  z.object({ op: z.literal('count'), pauseMs: z.number().min(0) }),
  /** Stop counting when the reply that is under way has come. */
  z.object({ op: z.literal('rest') }),
  /** What was seen since the last window. */
  z.object({ op: z.literal('window') }),
  /** One line for the test guest's command port. */
  z.object({ op: z.literal('command'), line: z.string(), timeoutMs: z.number() }),
  /** One command for its Redis, on a connection of its own. */
  z.object({ op: z.literal('redis'), words: z.array(z.string()), timeoutMs: z.number() }),
]);
export type Order = z.infer<typeof orderSchema>;

export const windowSchema = z.object({
  waits: z.array(waitSchema),
  /** When the request was sent whose reply has not come yet; null when there is none. */
  pendingSince: z.number().nullable(),
  /** TCP segments that this network namespace has sent again since it exists. */
  retransmits: z.int(),
});
export type Window = z.infer<typeof windowSchema>;

export const timedSchema = z.object({ words: z.array(z.string()), tookMs: z.number() });
export type Timed = z.infer<typeof timedSchema>;

export const answerSchema = z.object({
  /** 0: nobody asked; the station is broken for good. */
  id: z.int(),
  error: z.string().optional(),
  result: z.unknown().optional(),
});

/** CLOCK_MONOTONIC, ms. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;
