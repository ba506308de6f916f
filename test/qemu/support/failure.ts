// SPDX-License-Identifier: Apache-2.0
// What a failed test leaves to whoever looks for the reason.
import { keepLogs as keep } from '../../../cli/local/kept-logs.js';
import type { PairLayout } from '../../../cli/local/layout.js';

/** Copies run folder and rings of a pair, and returns where they are. */
export const keepLogs = (layout: PairLayout, test: string): Promise<string> =>
  keep(layout, 'test-failures', test);

/** Tells where the logs are, and how to run the test again. */
export function tellFailure(kept: string, rerun: string): void {
  process.stderr.write(
    `    logs kept in ${kept}\n` +
      `    look into a ring: node build/cli/main.js log dump ${kept}/*.ring\n` +
      `    run it again: ${rerun}\n`,
  );
}
