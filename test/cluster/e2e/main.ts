#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// npm run test:cluster: brings the cluster up, installs the product as a user would, and plays the tests on it.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import Mocha from 'mocha';
import { endingOf } from '../../../cli/exit-codes.js';
import { useEnvironment } from '../bed/command.js';
import { useCurrentCluster } from '../bed/kubectl.js';
import { withBed } from '../bed/lock.js';
import { provideProduct } from '../bed/product.js';
import { GUEST_IMAGE } from '../bed/settings.js';
import { up } from '../bed/up.js';
import { reportTo, type Played } from './report.js';
import { HOOKS } from './support/hooks.js';
import { notPlayed, useWorld } from './support/world.js';

const TEST_TIMEOUT_MS = 15 * 60_000;

interface Options {
  readonly useCurrent?: true;
  readonly guest: string;
  readonly first?: true;
  readonly grep?: string;
  readonly report?: string;
}

async function prepare({ useCurrent, guest }: Options): Promise<void> {
  useWorld({ hasBed: useCurrent !== true, guestImage: guest });
  if (useCurrent === true) {
    useCurrentCluster();
    return;
  }
  useEnvironment();
  await withBed("'npm run test:cluster'", async () => {
    await up();
    await provideProduct();
  });
}

async function testsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names
    .filter((name) => name.endsWith('.test.js'))
    .sort()
    .map((name) => join(folder, name));
}

/** Plays the tests one after the other. */
async function play({ first, grep }: Options): Promise<readonly Played[]> {
  const mocha = new Mocha({
    timeout: TEST_TIMEOUT_MS,
    rootHooks: HOOKS,
    ...(grep === undefined ? {} : { grep }),
  });
  for (const folder of first === true ? ['first'] : ['first', 'rest']) {
    for (const file of await testsIn(join(import.meta.dirname, folder))) mocha.addFile(file);
  }
  await mocha.loadFilesAsync();
  const played: Played[] = [];
  await new Promise<void>((done) => {
    const runner = mocha.run(() => {
      done();
    });
    runner.on('pass', (test) =>
      played.push({ title: test.fullTitle(), outcome: 'passed', ms: test.duration ?? 0 }),
    );
    runner.on('fail', (test, error: Error) =>
      played.push({
        title: test.fullTitle(),
        outcome: 'failed',
        ms: test.duration ?? 0,
        words: error.message,
      }),
    );
  });
  return [...played, ...notPlayed().map((title): Played => ({ title, outcome: 'not played', ms: 0 }))];
}

async function main(options: Options): Promise<void> {
  await prepare(options);
  const played = await play(options);
  if (options.report !== undefined) await reportTo(options.report, played);
  if (played.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1;
}

new Command('test:cluster')
  .description('Tests on a real Kubernetes with KubeVirt')
  .option('--use-current', "the cluster of KUBECONFIG, with the product installed, instead of one of kind's")
  .option(
    '--guest <image>',
    'image of the test guest, for --use-current: one that its nodes can pull',
    GUEST_IMAGE,
  )
  .option('--first', 'only what CI plays: install, first VMs, the loss of a node, refusals')
  .option('--grep <words>', 'only tests with these words in their title')
  .option('--report <file>', 'append what was seen, with the date')
  .action(main)
  .parseAsync()
  .catch((error: unknown) => {
    const { exitCode, words } = endingOf(error);
    if (words !== '') process.stderr.write(`test:cluster: ${words}\n`);
    process.exitCode = exitCode;
  });
