// SPDX-License-Identifier: Apache-2.0
/** What the settings of all sidecars have in common, wherever they run. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { VM_NAME } from './io/channel/pki.js';
import { DEFAULT_LIMITS, LimitsError, makeLimits, type Limits } from './protocol/limits.js';

/** A settings file that cannot be used; the message names each field and what is wrong with it. */
export class ConfigError extends Error {
  readonly code = 'LOCKSTEP_CONFIG';
}

export const port = z.int().min(1).max(65535);
export const host = z.string().min(1);
export const endpoint = z.strictObject({ host, port });

/** Name of the VM: in the lease's key, in certificates, on every log line. */
export const vmName = z.string().regex(VM_NAME, "must be 1-63 of a-z, 0-9 and '-', not at its ends");

export const macAddress = z
  .string()
  .regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/, 'must look like 52:54:00:12:34:56');

export const coldStart = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('found') }),
  z.strictObject({ kind: z.literal('refound'), expectEpoch: z.int().positive() }),
]);

const limitNames = Object.keys(DEFAULT_LIMITS) as [keyof Limits, ...(keyof Limits)[]];

/** Changes to sidecar/protocol/limits.ts, by name. */
export const limitChanges = z.partialRecord(z.enum(limitNames), z.number().positive()).default({});

export const logOptions = z
  .strictObject({
    format: z.enum(['json', 'readable']).default('json'),
    level: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
  })
  .prefault({});

type WithLimits<T> = Omit<T, 'limits'> & { readonly limits: Limits };

/** @throws ConfigError */
export function parseSettings<T extends { readonly limits: Partial<Limits> }>(
  schema: z.ZodType<T>,
  value: unknown,
): WithLimits<T> {
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
export function readJson(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`settings: ${(error as Error).message}`, { cause: error });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`settings: ${file} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

/** What is not set is not there: with exact optional properties the two differ. */
export function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}
