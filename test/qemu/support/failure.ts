// SPDX-License-Identifier: Apache-2.0
// What a failed test leaves to whoever looks for the reason.
import { keepLogs } from '../../../cli/local/kept-logs.js';
import type { PairLayout } from '../../../cli/local/layout.js';
import { sceneOf } from './scene.js';

/** In front of each line: by it .ci/run finds them in its log, and shows them again in its end. */
const MARK = '    | ';

/** Tells what the pair looks like, where its logs and rings are kept, and how to run the test again. */
export async function tellFailure(layout: PairLayout, test: string, rerun: string): Promise<void> {
  const scene = await sceneOf(layout);
  const kept = await keepLogs(layout, 'test-failures', test);
  const lines = [
    `FAILED: ${test}`,
    ...scene,
    `logs kept in ${kept}`,
    `look into a ring: node build/cli/main.js log dump ${kept}/*.ring`,
    `run it again: ${rerun}`,
  ];
  process.stderr.write(lines.map((line) => `${MARK}${line}\n`).join(''));
}
