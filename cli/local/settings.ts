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
    disks: z.array(
      z.strictObject({
        /** Each host's own image is this with its name behind: PATH.a. */
        image: z.string(),
        bytes: z.int(),
        bus: z.enum(['virtio-blk', 'virtio-scsi']),
        sectorBytes: z.int(),
      }),
    ),
  }),
  /** Of a copy of the disks to a new backup; null: as fast as it goes. */
  copyMiBPerSecond: z.number().nullable(),
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

/** @throws LocalError NO_PAIR when the file is not there: there is no pair, or not any more. */
async function readJson<T>(pair: string, file: string, schema: z.ZodType<T>): Promise<T> {
  try {
    return schema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    throw new LocalError('NO_PAIR', `there is no pair '${pair}'`, "Bring one up: 'lockstep up'.", {
      cause: error,
    });
  }
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
  const settings = await readJson(name, bare.settings, settingsSchema);
  return { layout: pairLayout(name, settings.hostCount), settings };
}

export const saveSettings = (layout: PairLayout, settings: Settings): Promise<void> =>
  writeJson(layout.settings, settings);

/** @throws LocalError NO_PAIR when the pair is there no more. */
export const loadDesired = (layout: PairLayout): Promise<Desired> =>
  readJson(layout.name, layout.desired, desiredSchema);

export const saveDesired = (layout: PairLayout, desired: Desired): Promise<void> =>
  writeJson(layout.desired, desired);
