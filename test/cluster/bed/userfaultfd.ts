// SPDX-License-Identifier: Apache-2.0
// One setting of this machine's kernel is the product's business: its node preparation may switch it on. The bed
// remembers what it was, and puts it back.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../../../cli/local/errors.js';
import { CACHE } from './settings.js';

const SETTING = '/proc/sys/vm/unprivileged_userfaultfd';
const REMEMBERED = join(CACHE, 'userfaultfd-before');

const contentOf = (file: string): Promise<string | null> =>
  readFile(file, 'utf8').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  });

/** Keeps the first value, however often a cluster is brought up before it is taken down. */
export async function rememberUserfaultfd(): Promise<void> {
  if ((await contentOf(REMEMBERED)) !== null) return;
  const value = await contentOf(SETTING);
  if (value === null) return; // a kernel without it
  await mkdir(CACHE, { recursive: true });
  await writeFile(REMEMBERED, value);
}

export async function restoreUserfaultfd(): Promise<void> {
  const before = await contentOf(REMEMBERED);
  if (before === null) return;
  await writeFile(SETTING, before);
  await rm(REMEMBERED);
}
