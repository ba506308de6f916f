// SPDX-License-Identifier: Apache-2.0
// Hosts whose run folder is a small disk of its own, which a test can fill.
import { closeSync, openSync, writeSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../../../cli/local/errors.js';
import { bootHost, cutPower } from '../../../cli/local/hosts.js';
import type { HostLayout, PairLayout } from '../../../cli/local/layout.js';
import { run } from '../../../cli/local/run.js';
import { NOTHING_DESIRED, saveDesired } from '../../../cli/local/settings.js';

const FOLDER_BYTES = 8 << 20;

const filler = ({ dir }: HostLayout): string => join(dir, 'filler');

/** To be called before anything runs on the hosts. */
export async function useSmallFolders(layout: PairLayout): Promise<void> {
  await saveDesired(layout, { ...NOTHING_DESIRED, poweredOff: layout.hosts.map(({ name }) => name) });
  for (const host of layout.hosts) {
    await cutPower(layout, host);
    await rm(host.dir, { recursive: true });
    await mkdir(host.dir);
    await run('mount', ['-t', 'tmpfs', '-o', `size=${FOLDER_BYTES}`, 'lockstep-test', host.dir]);
    await bootHost(layout, host);
  }
  await saveDesired(layout, NOTHING_DESIRED);
}

function writeUntilFull(file: number, bytes: number): void {
  try {
    for (;;) writeSync(file, Buffer.alloc(bytes));
  } catch (error) {
    if (systemCode(error) !== 'ENOSPC') throw error;
  }
}

/** Not one byte more has room afterwards. */
export function fill(host: HostLayout): void {
  const file = openSync(filler(host), 'a');
  try {
    for (let bytes = FOLDER_BYTES; bytes >= 1; bytes = Math.floor(bytes / 2)) writeUntilFull(file, bytes);
  } finally {
    closeSync(file);
  }
}

export const makeRoom = (host: HostLayout): Promise<void> => rm(filler(host), { force: true });

/** What still runs there goes on with it, and ends with the pair. */
export async function dropSmallFolders(layout: PairLayout): Promise<void> {
  const mounts = await readFile('/proc/self/mounts', 'utf8');
  for (const { dir } of layout.hosts.filter((host) => mounts.includes(` ${host.dir} `)))
    await run('umount', ['--lazy', dir]);
}
