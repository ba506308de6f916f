// SPDX-License-Identifier: Apache-2.0
// What is said between an agent and those who command it: JSON over HTTP on the agent's unix socket.
import { z } from 'zod';
import { callUnix } from './unix-http.js';
import type { HostLayout } from './layout.js';

/** 128 bit, hex: one per incarnation of the VM. */
export const nonceSchema = z.string().regex(/^[0-9a-f]{32}$/);

/** POST /start */
export const startRequestSchema = z.discriminatedUnion('role', [
  z.strictObject({
    role: z.literal('primary'),
    /**
     * How it becomes the owner. `found`: the VM never ran. `refound`: both sides of that epoch are known dead.
     */
    lease: z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('found') }),
      z.strictObject({ kind: z.literal('refound'), expectEpoch: z.int().positive() }),
    ]),
    /** Of the VM, counted in its disks' images; 1: nothing is known of an earlier one. */
    life: z.int().positive(),
  }),
  z.strictObject({
    role: z.literal('backup'),
    /** The channel of the primary. */
    peer: z.strictObject({ host: z.ipv4(), port: z.int().min(1).max(65535) }),
  }),
]);
export type StartRequest = z.infer<typeof startRequestSchema>;

export const incarnationSchema = z.object({
  nonce: nonceSchema,
  role: z.enum(['primary', 'backup']),
  phase: z.enum(['starting', 'running', 'ended']),
  startedAt: z.iso.datetime(),
  dir: z.string(),
  controlSocket: z.string(),
  serialFile: z.string(),
  ringFile: z.string(),
  /** Pids as the machine sees them; null when it does not run (yet, or any more). */
  sidecarPid: z.int().nullable(),
  qemuPid: z.int().nullable(),
  /** Once ended: what happened. */
  reason: z.string().nullable(),
});
export type IncarnationStatus = z.infer<typeof incarnationSchema>;

/** GET /status, and the answer to all else. */
export const agentStatusSchema = z.object({
  host: z.string(),
  /** As the machine sees it. */
  pid: z.int(),
  channel: z.object({ host: z.ipv4(), port: z.int() }),
  incarnation: incarnationSchema.nullable(),
  /** What the sidecar's GET /status said, as it is; null when there is none or it did not answer in time. */
  sidecar: z.unknown(),
});
export type AgentStatus = z.infer<typeof agentStatusSchema>;

const STATUS_TIMEOUT_MS = 1000;
/** Covers the start of a sidecar and of a QEMU on a busy machine. */
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;

export const agentStatus = (host: HostLayout, timeoutMs = STATUS_TIMEOUT_MS): Promise<AgentStatus> =>
  callUnix({
    socket: host.agentSocket,
    method: 'GET',
    path: '/status',
    timeoutMs,
    answer: agentStatusSchema,
  });

/** Returns when sidecar and QEMU run. */
export const agentStart = (host: HostLayout, body: StartRequest): Promise<AgentStatus> =>
  callUnix({
    socket: host.agentSocket,
    method: 'POST',
    path: '/start',
    body,
    timeoutMs: START_TIMEOUT_MS,
    answer: agentStatusSchema,
  });

/** Ends the incarnation, at once, and forgets it. */
export const agentStop = (host: HostLayout): Promise<AgentStatus> =>
  callUnix({
    socket: host.agentSocket,
    method: 'POST',
    path: '/stop',
    timeoutMs: STOP_TIMEOUT_MS,
    answer: agentStatusSchema,
  });
