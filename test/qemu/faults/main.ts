// SPDX-License-Identifier: Apache-2.0
// npm run test:faults -- [--all] [--grep TEXT] [--report FILE]
//
// Plays the fault matrix on real processes: the rows that each run of the tests has, with `--all` every row, with
// `--grep` those (of all) whose title has TEXT. `--report` writes what came out as a page (docs/fault-matrix.md).
// Exits with 1 when a row failed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { REPO } from '../../../cli/local/layout.js';
import { readOutcomes } from './outcomes.js';
import { reportPage } from './report.js';

const MOCHA = join(REPO, 'node_modules/mocha/bin/mocha.js');
const TEST = join(import.meta.dirname, 'faults.test.js');

async function play(all: boolean, grep: string | undefined): Promise<number> {
  const args = [MOCHA, TEST, ...(grep === undefined ? [] : ['--fgrep', grep])];
  const env = { ...process.env, ...(all || grep !== undefined ? { LOCKSTEP_FAULTS: 'all' } : {}) };
  const child = spawn(process.execPath, args, { stdio: 'inherit', env });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { all: { type: 'boolean' }, grep: { type: 'string' }, report: { type: 'string' } },
  });
  process.exitCode = await play(values.all === true, values.grep);
  if (values.report !== undefined) writeFileSync(values.report, reportPage(readOutcomes()));
}

await main();
