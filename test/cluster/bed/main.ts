#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The test cluster: kind on podman with an unmodified KubeVirt, built from package registries alone.
import { Command } from 'commander';
import { access } from 'node:fs/promises';
import { endingOf } from '../../../cli/exit-codes.js';
import { print } from '../../../cli/verbs/talk.js';
import { useEnvironment } from './command.js';
import { down } from './down.js';
import { loadArchive, loadImage } from './load.js';
import { withBed } from './lock.js';
import { keepLogs } from './logs.js';
import { provideProduct } from './product.js';
import { step, tell } from './progress.js';
import { BIN, KUBECONFIG, NODE_NAMES } from './settings.js';
import { statusLines } from './status.js';
import { up } from './up.js';

const isFile = (name: string): Promise<boolean> =>
  access(name).then(
    () => true,
    () => false,
  );

async function load(names: readonly string[]): Promise<void> {
  for (const name of names) {
    await step(`${name} comes to the nodes`, async () =>
      (await isFile(name)) ? loadArchive(name, NODE_NAMES) : loadImage(name, NODE_NAMES),
    );
  }
}

function makeProgram(): Command {
  const program = new Command('cluster')
    .description('A real Kubernetes with KubeVirt on this machine, for tests')
    .showHelpAfterError();
  program
    .command('up')
    .description('bring it up; what is there already is kept')
    .action(async () => {
      await withBed("'cluster up'", up);
      tell(`up. kubectl, helm, kind and kubeconform are in ${BIN}`);
      print(`export KUBECONFIG=${KUBECONFIG}`);
    });
  program
    .command('down')
    .description('remove it; programs and images stay in the cache')
    .action(async () => {
      await withBed("'cluster down'", down);
      tell('down');
    });
  program
    .command('status')
    .description('tell what runs')
    .action(async () => {
      for (const line of await statusLines()) print(line);
    });
  program
    .command('load <image-or-archive...>')
    .description("bring images of podman's store, or archives, to the nodes")
    .action(load);
  program
    .command('product')
    .description("build the product's images, bring them to the nodes, install the chart or upgrade it")
    .action(() => withBed("'cluster product'", provideProduct));
  program
    .command('logs <folder>')
    .description('keep the logs of all nodes and pods, the objects and the events')
    .action(async (folder: string) => {
      await keepLogs(folder);
      tell(`kept in ${folder}`);
    });
  return program;
}

useEnvironment();
makeProgram()
  .parseAsync()
  .catch((error: unknown) => {
    const { exitCode, words } = endingOf(error);
    if (words !== '') process.stderr.write(`cluster: ${words}\n`);
    process.exitCode = exitCode;
  });
