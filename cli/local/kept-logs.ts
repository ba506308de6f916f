// SPDX-License-Identifier: Apache-2.0
// What a failed test or measurement leaves to whoever looks for the reason.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from './errors.js';
import { REPO, type PairLayout } from './layout.js';
import { run } from './run.js';

const COPY = `cp -r --sparse=always "$1" "$2"/; for ring in "$3"*; do [ ! -e "$ring" ] || cp --sparse=always "$ring" "$2"/; done`;

/** Copies run folder and rings (sparse) of a pair to a new folder in build/`folder`, and returns where they are. */
export async function keepLogs(layout: PairLayout, folder: string, what: string): Promise<string> {
  const words = what
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 60);
  const at = new Date().toISOString().replaceAll(/[:.]/g, '');
  const to = join(REPO, 'build', folder, `${at}-${layout.name}-${words}`);
  await mkdir(to, { recursive: true });
  await run('sh', ['-c', COPY, 'keep', layout.dir, to, layout.ringPrefix]).catch((error: unknown) => {
    // Sockets can't be copied, and what is missing then does not matter; whatever else is in the words.
    process.stderr.write(`keeping logs: ${messageOf(error).slice(0, 300)}\n`);
  });
  return to;
}
