// SPDX-License-Identifier: Apache-2.0
/** The settings of a sidecar of the local pair: one JSON file, written by the agent that starts it next to a QEMU. */
import { z } from 'zod';
import { RING_BYTES_MAX, RING_BYTES_MIN } from '../../native/addon/index.js';
import { DISKS_MAX } from '../io/disk/copy-wire.js';
import type { Limits } from '../protocol/limits.js';
import { QUIESCE_MS_MAX_DEFAULT, RING_BYTES_DEFAULT } from '../runtime/site.js';
import {
  coldStart,
  endpoint,
  host,
  limitChanges,
  logOptions,
  macAddress,
  parseSettings,
  port,
  readJson,
  vmName,
} from '../settings.js';

const path = z.string().min(1);
const unixPath = path.max(
  107,
  'a unix socket has at most 107 bytes of path (sun_path): use a shorter folder',
);
const nonce = z
  .string()
  .regex(/^[0-9a-f]{32}$/, 'must be 32 lower-case hex digits (128 bits), new for each QEMU');

const start = z.discriminatedUnion('role', [
  z.strictObject({ role: z.literal('primary'), coldStart }),
  z.strictObject({ role: z.literal('backup'), peer: endpoint }),
]);

const schema = z.strictObject({
  vm: vmName,
  /** Name of this host, for log lines. */
  host: z.string().default('local'),
  nonce,
  start,
  /** Equal on two sides exactly when one's machine can follow the other's. */
  deviceHash: z.string().min(1).max(128),
  ring: z.strictObject({
    file: path,
    bytes: z
      .int()
      .min(RING_BYTES_MIN)
      .max(RING_BYTES_MAX)
      .refine((bytes) => Number.isInteger(Math.log2(bytes)), 'must be a power of two')
      .default(RING_BYTES_DEFAULT),
    quiesceMsMax: z.int().positive().default(QUIESCE_MS_MAX_DEFAULT),
  }),
  qmpSocket: unixPath,
  netSocket: unixPath,
  cloneSocket: unixPath,
  /** Raw images, each at most in one sidecar's hands. */
  disks: z
    .array(
      z.strictObject({
        /** Name of QEMU's block node and of the NBD export. */
        id: z.string().min(1).max(31),
        socket: unixPath,
        image: path,
        bytes: z.int().positive(),
      }),
    )
    .max(DISKS_MAX)
    .default([]),
  /** Of the VM, as its images count: above all that they know of. A backup learns it from its primary. */
  life: z.int().positive().default(1),
  /** Of a copy of the images to a new backup; as fast as it goes when left out. */
  copyMiBPerSecond: z.number().positive().optional(),
  tap: z.string().min(1).max(15),
  guestMac: macAddress,
  listen: endpoint,
  tls: z.strictObject({ ca: path, cert: path, key: path }),
  store: z.strictObject({
    host,
    port,
    username: z.string().optional(),
    password: z.string().optional(),
    keyPrefix: z.string().optional(),
    tls: z
      .strictObject({
        ca: path,
        cert: path.optional(),
        key: path.optional(),
        servername: z.string().optional(),
      })
      .optional(),
  }),
  control: z.strictObject({ socket: unixPath }),
  metrics: endpoint.optional(),
  log: logOptions,
  limits: limitChanges,
});

export type Config = Omit<z.output<typeof schema>, 'limits'> & { readonly limits: Limits };

/** @throws ConfigError */
export const parseConfig = (value: unknown): Config => parseSettings(schema, value);

/** @throws ConfigError */
export const readConfig = (file: string): Config => parseConfig(readJson(file));
