// SPDX-License-Identifier: Apache-2.0
/** The sidecar's settings: one JSON file, written by whoever starts the sidecar next to a QEMU. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { RING_BYTES_MAX, RING_BYTES_MIN } from '../native/addon/index.js';
import { VM_NAME } from './io/channel/pki.js';
import { DEFAULT_LIMITS, LimitsError, makeLimits, type Limits } from './protocol/limits.js';

/** A settings file that cannot be used; the message names each field and what is wrong with it. */
export class ConfigError extends Error {
  readonly code = 'LOCKSTEP_CONFIG';
}

const port = z.int().min(1).max(65535);
const path = z.string().min(1);
const unixPath = path.max(
  107,
  'a unix socket has at most 107 bytes of path (sun_path): use a shorter folder',
);
const endpoint = z.strictObject({ host: z.string().min(1), port });
const nonce = z
  .string()
  .regex(/^[0-9a-f]{32}$/, 'must be 32 lower-case hex digits (128 bits), new for each QEMU');

const RING_BYTES_DEFAULT = 64 * 1024 * 1024;
const QUIESCE_MS_MAX_DEFAULT = 3_000;

const coldStart = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('found') }),
  z.strictObject({ kind: z.literal('refound'), expectEpoch: z.int().positive() }),
]);

const start = z.discriminatedUnion('role', [
  z.strictObject({ role: z.literal('primary'), coldStart }),
  z.strictObject({ role: z.literal('backup'), peer: endpoint }),
]);

const limitNames = Object.keys(DEFAULT_LIMITS) as [keyof Limits, ...(keyof Limits)[]];

const schema = z.strictObject({
  /** Name of the VM: in the lease's key, in certificates, on every log line. */
  vm: z.string().regex(VM_NAME, "must be 1-63 of a-z, 0-9 and '-', not at its ends"),
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
  tap: z.string().min(1).max(15),
  guestMac: z.string().regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/, 'must look like 52:54:00:12:34:56'),
  listen: endpoint,
  tls: z.strictObject({ ca: path, cert: path, key: path }),
  store: z.strictObject({
    host: z.string().min(1),
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
  log: z
    .strictObject({
      format: z.enum(['json', 'readable']).default('json'),
      level: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
    })
    .prefault({}),
  /** Changes to sidecar/protocol/limits.ts, by name. */
  limits: z.partialRecord(z.enum(limitNames), z.number().positive()).default({}),
});

export type Config = Omit<z.output<typeof schema>, 'limits'> & { readonly limits: Limits };

/** @throws ConfigError */
export function parseConfig(value: unknown): Config {
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const wrong = parsed.error.issues.map(
      (issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`,
    );
    throw new ConfigError(`settings: ${wrong.join('; ')}`);
  }
  return { ...parsed.data, limits: limitsOf(parsed.data.limits) };
}

function limitsOf(changes: Partial<Limits>): Limits {
  try {
    return makeLimits(changes);
  } catch (error) {
    if (error instanceof LimitsError) throw new ConfigError(error.message, { cause: error });
    throw error;
  }
}

/** @throws ConfigError */
export function readConfig(file: string): Config {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`settings: ${(error as Error).message}`, { cause: error });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`settings: ${file} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  return parseConfig(value);
}
