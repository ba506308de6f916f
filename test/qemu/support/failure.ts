// SPDX-License-Identifier: Apache-2.0
// What a failed test leaves to whoever looks for the reason.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { REPO, type PairLayout } from '../../../cli/local/layout.js';
import { run } from '../../../cli/local/run.js';
import { messageOf } from '../../../cli/local/errors.js';

const KEPT = join(REPO, 'build/test-failures');

/** Copies run folder and rings (sparse) of a pair, and returns where they are. */
export async function keepLogs(layout: PairLayout, test: string): Promise<string> {
  const words = test
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 60);
  const to = join(KEPT, `${new Date().toISOString().replaceAll(/[:.]/g, '')}-${layout.name}-${words}`);
  await mkdir(to, { recursive: true });
  const copy = `cp -r --sparse=always "$1" "$2"/; for ring in "$3"*; do [ ! -e "$ring" ] || cp --sparse=always "$ring" "$2"/; done`;
  await run('sh', ['-c', copy, 'keep', layout.dir, to, layout.ringPrefix]).catch((error: unknown) => {
    // Sockets can't be copied, and what is missing then does not matter; whatever else is in the words.
    process.stderr.write(`keeping logs: ${messageOf(error).slice(0, 300)}\n`);
  });
  return to;
}

/** Tells where the logs are, and how to run the test again. */
export function tellFailure(kept: string, rerun: string): void {
  process.stderr.write(
    `    logs kept in ${kept}\n` +
      `    look into a ring: node build/cli/main.js log dump ${kept}/*.ring\n` +
      `    run it again: ${rerun}\n`,
  );
}
