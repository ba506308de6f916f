// SPDX-License-Identifier: Apache-2.0
// What is asked of a running sidecar, over its control socket.
import { z } from 'zod';
import type { Phase } from '../../sidecar/protocol/status.js';
import { callUnix } from './unix-http.js';

const PHASES = [
  'founding',
  'alone',
  'cloning',
  'catchingUp',
  'arming',
  'protected',
  'handingOver',
  'claiming',
  'joining',
  'loading',
  'following',
  'armed',
  'goingLive',
  'ended',
] as const satisfies readonly Phase[];

/** The part of GET /status that the pair's controller decides by; the rest passes through. */
export const sidecarStatusSchema = z.looseObject({
  role: z.enum(['primary', 'backup', 'ended']),
  phase: z.enum(PHASES),
  epoch: z.number(),
  nonce: z.string(),
  peer: z.string().nullable(),
  protection: z.looseObject({
    word: z.enum(['Protected', 'Not Protected']),
    state: z.string().optional(),
    reason: z.string().optional(),
  }),
  lease: z.string().nullable(),
  numbers: z.looseObject({ lagMs: z.number(), heldOutputs: z.number(), pacePermille: z.number() }).nullable(),
  lastFailover: z.looseObject({ at: z.string(), goLiveMs: z.number() }).nullable().optional(),
});
export type SidecarStatus = z.infer<typeof sidecarStatusSchema>;

const COMMAND_TIMEOUT_MS = 5000;

const command = (controlSocket: string, path: string): Promise<unknown> =>
  callUnix({
    socket: controlSocket,
    method: 'POST',
    path,
    timeoutMs: COMMAND_TIMEOUT_MS,
    answer: z.unknown(),
  });

/** Asks the primary for a planned failover. Its end shows in status. */
export const sidecarTestFailover = (controlSocket: string): Promise<unknown> =>
  command(controlSocket, '/test-failover');

/** Asks the sidecar to end in order. */
export const sidecarStop = (controlSocket: string): Promise<unknown> => command(controlSocket, '/stop');
