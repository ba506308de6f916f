// SPDX-License-Identifier: Apache-2.0
// What a pair was brought up with (pair.json), and what it shall be (desired.json).
import { readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { LocalError, systemCode } from './errors.js';
import { pairLayout, type PairLayout } from './layout.js';

export const MEMORY_MIB_MIN = 128;
export const MEMORY_MIB_MAX = 65536;

export const settingsSchema = z.strictObject({
  name: z.string(),
  hostCount: z.int(),
  machine: z.strictObject({
    model: z.enum(['kubevirt', 'small']),
    memoryMiB: z.int().min(MEMORY_MIB_MIN).max(MEMORY_MIB_MAX),
    cpu: z.string(),
    mac: z.string(),
    uuid: z.uuid(),
    kernel: z.string(),
    initrd: z.string(),
    append: z.string(),
  }),
  qemuBinary: z.string(),
  /** The sidecar's program; tests put another in its place. */
  sidecarMain: z.string(),
  ringBytes: z.int(),
  /** Of the lease store's user. */
  storePassword: z.string(),
  /** Sidecar settings that differ from their defaults. */
  sidecarOverrides: z.record(z.string(), z.unknown()),
});
export type Settings = z.infer<typeof settingsSchema>;

export const desiredSchema = z.strictObject({
  protected: z.boolean(),
  /** Hosts that are to stay without power. */
  poweredOff: z.array(z.string()),
});
export type Desired = z.infer<typeof desiredSchema>;

export const NOTHING_DESIRED: Desired = { protected: false, poweredOff: [] };

async function readJson<T>(file: string, schema: z.ZodType<T>): Promise<T> {
  return schema.parse(JSON.parse(await readFile(file, 'utf8')));
}

/** Whole or not at all: a reader never sees half of it. */
async function writeJson(file: string, value: unknown): Promise<void> {
  const part = `${file}.${process.pid}.part`;
  await writeFile(part, JSON.stringify(value, null, 2) + '\n', { mode: 0o600 });
  await rename(part, file);
}

export interface Pair {
  readonly layout: PairLayout;
  readonly settings: Settings;
}

/** @throws LocalError NO_PAIR when no such pair was brought up. */
export async function loadPair(name: string): Promise<Pair> {
  const bare = pairLayout(name);
  try {
    const settings = await readJson(bare.settings, settingsSchema);
    return { layout: pairLayout(name, settings.hostCount), settings };
  } catch (error) {
    throw noPair(name, error);
  }
}

/** A file that is not there means that there is no pair, or not any more. */
function noPair(name: string, error: unknown): unknown {
  if (systemCode(error) !== 'ENOENT') return error;
  return new LocalError('NO_PAIR', `there is no pair '${name}'`, "Bring one up: 'lockstep up'.", {
    cause: error,
  });
}

export const saveSettings = (layout: PairLayout, settings: Settings): Promise<void> =>
  writeJson(layout.settings, settings);

/** @throws LocalError NO_PAIR when the pair is there no more. */
export async function loadDesired(layout: PairLayout): Promise<Desired> {
  try {
    return await readJson(layout.desired, desiredSchema);
  } catch (error) {
    throw noPair(layout.name, error);
  }
}

export const saveDesired = (layout: PairLayout, desired: Desired): Promise<void> =>
  writeJson(layout.desired, desired);
