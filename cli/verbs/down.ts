// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';
import { access } from 'node:fs/promises';
import { LocalError } from '../local/errors.js';
import { pairLayout } from '../local/layout.js';
import { pairClaim, withLock } from '../local/lock.js';
import { existingNamespaces } from '../local/network.js';
import { takeDown } from '../local/pair.js';
import { pairOption, yesOption } from './options.js';
import { confirm, print } from './talk.js';

interface Options {
  readonly pair: string;
  readonly yes?: true;
}

async function down(options: Options): Promise<void> {
  const layout = pairLayout(options.pair);
  const hasFolder = await access(layout.dir).then(
    () => true,
    () => false,
  );
  if (!hasFolder && (await existingNamespaces(layout)).length === 0) {
    throw new LocalError('NO_PAIR', `there is no pair '${layout.name}'`);
  }
  await confirm(`Take pair '${layout.name}' down? Its VM and all it holds are gone then.`, options.yes);
  await withLock(pairClaim(layout, "'lockstep down'"), () => takeDown(layout));
  print(`pair '${layout.name}' is down; nothing of it is left`);
}

export function addDown(program: Command): void {
  program
    .command('down')
    .description('end the pair and remove all of it, also what a crash left')
    .addOption(pairOption())
    .addOption(yesOption())
    .action(down);
}
