// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';
import { LocalError } from '../local/errors.js';
import { loadPair } from '../local/settings.js';
import { sidecarReset } from '../local/sidecar-api.js';
import { pairStatus } from '../local/status.js';
import { pairOption, yesOption } from './options.js';
import { describe } from './protect.js';
import { confirm, print } from './talk.js';

interface Options {
  readonly pair: string;
  readonly yes?: true;
}

async function reset(options: Options): Promise<void> {
  const pair = await loadPair(options.pair);
  await confirm('Reset the machine now? Its guest loses what it has not written to a disk.', options.yes);
  const status = await pairStatus(pair);
  const owner = status.hosts.find((host) => host.name === status.primary);
  if (!owner?.controlSocket) {
    throw new LocalError('STATE', `the VM runs nowhere: ${describe(status)}`, "Start it: 'lockstep up'.");
  }
  await sidecarReset(owner.controlSocket);
  print(`the machine on host ${owner.name} was reset, and its backup with it: the guest starts anew`);
}

export function addReset(program: Command): void {
  program
    .command('reset')
    .description('reset the VM, as the button on a machine does; it stays as protected as it is')
    .addOption(pairOption())
    .addOption(yesOption())
    .action(reset);
}
