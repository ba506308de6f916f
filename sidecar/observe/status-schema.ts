// SPDX-License-Identifier: Apache-2.0
/** What a sidecar's GET /status says, for those who decide by it. What is not named here passes through. */
import { z } from 'zod';
import type { Phase } from '../protocol/status.js';

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

/** Of any sidecar. Before the protocol has begun: the phase in which its role begins, epoch 0. */
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
  /** Its QEMU; null: it has none. Guest instructions executed, as last seen: more than fit a number. */
  engine: z
    .looseObject({ icount: z.string().regex(/^\d+$/) })
    .nullable()
    .optional(),
  /** Null: the VM has none. `copy`: of the images, to a new backup or in it; null: none is under way. */
  disks: z
    .looseObject({
      disks: z.array(z.looseObject({ id: z.string(), image: z.string(), bytes: z.number() })),
      copy: z
        .looseObject({
          doneBytes: z.number(),
          totalBytes: z.number(),
          bytesPerSecond: z.number(),
          secondsLeft: z.number().nullable(),
        })
        .nullable(),
    })
    .nullable()
    .optional(),
  lastFailover: z.looseObject({ at: z.string(), goLiveMs: z.number() }).nullable().optional(),
});
export type SidecarStatus = z.infer<typeof sidecarStatusSchema>;

/** How far a sidecar in a launcher pod has come with its QEMU. */
export const STAGES = [
  'waiting', // for libvirt to start QEMU, for the first time or anew
  'preparing', // QEMU's start waits at the door for this sidecar's word
  'starting', // the word was given; QEMU has not opened its log yet
  'running', // the protocol runs
  'ended', // and so will the process, at once
] as const;
export type Stage = (typeof STAGES)[number];

/** Why no guest starts here, or what will become one: a word for programs, a sentence with its cure for people. */
export const troubleSchema = z.looseObject({ reason: z.string(), message: z.string() });
export type Trouble = z.infer<typeof troubleSchema>;

/** Of a sidecar in a launcher pod. */
export const vmiStatusSchema = sidecarStatusSchema.extend({
  vm: z.string(),
  vmi: z.string(),
  /** The node. */
  host: z.string(),
  /** Null as long as no QEMU was asked for. */
  nonce: z.string().nullable(),
  stage: z.enum(STAGES),
  /** What was refused last; null when nothing was since the last start that came to something. */
  trouble: troubleSchema.nullable(),
  certificate: z.looseObject({
    /** ISO 8601. */
    notAfter: z.string(),
    /** Not null: a newer certificate is there, and cannot be used. */
    trouble: z.string().nullable(),
  }),
});
export type VmiStatus = z.infer<typeof vmiStatusSchema>;

/** What a sidecar in a launcher pod leaves as its container's termination message: one line of JSON. */
export const epitaphSchema = z.looseObject({
  /** Of protocol/reasons.ts (EndReason), or of a trouble. `vmNotRunning`, `userAction`: on purpose, exit code 0. */
  reason: z.string(),
  detail: z.string(),
  nonce: z.string().nullable(),
  epoch: z.number(),
});
export type Epitaph = z.infer<typeof epitaphSchema>;
