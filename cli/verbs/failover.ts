// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';
import { LocalError } from '../local/errors.js';
import { loadPair, type Pair } from '../local/settings.js';
import { sidecarTestFailover } from '../local/sidecar-api.js';
import { pairStatus, type PairStatus } from '../local/status.js';
import { noWaitOption, pairOption, timeoutOption, yesOption } from './options.js';
import { describe } from './protect.js';
import { confirm, print, say, waitFor, type Look } from './talk.js';

const TIMEOUT_S = 30;

/**
 * Asks the primary to hand over; returns who was primary.
 * @throws LocalError STATE when the VM is not protected.
 */
export async function askFailover(pair: Pair): Promise<string> {
  const before = await pairStatus(pair);
  const owner = before.hosts.find((host) => host.name === before.primary);
  if (before.status !== 'Protected' || !owner?.controlSocket) {
    throw new LocalError(
      'STATE',
      `the VM is not protected: ${describe(before)}`,
      "Protect it: 'lockstep protect'.",
    );
  }
  await sidecarTestFailover(owner.controlSocket);
  return owner.name;
}

/** Waits until another host than `from` runs the VM. */
export function waitMoved(pair: Pair, from: string, timeoutMs: number): Promise<PairStatus> {
  return waitFor('the failover', timeoutMs, async (): Promise<Look<PairStatus>> => {
    const status = await pairStatus(pair);
    const moved = status.primary !== null && status.primary !== from;
    return moved ? { done: status } : { meanwhile: describe(status) };
  });
}

interface Options {
  readonly pair: string;
  readonly timeout: number;
  readonly wait: boolean;
  readonly yes?: true;
}

async function testFailover(options: Options): Promise<void> {
  const pair = await loadPair(options.pair);
  await confirm('Let the backup take over now?', options.yes);
  const from = await askFailover(pair);
  if (!options.wait) {
    say('asked for; see: lockstep status');
    return;
  }
  const status = await waitMoved(pair, from, options.timeout * 1000);
  print(
    `the VM runs on host ${status.primary ?? '?'} now, epoch ${status.epoch ?? '?'}; it ran on host ${from}`,
  );
}

export function addTestFailover(program: Command): void {
  program
    .command('test-failover')
    .description('planned failover: the backup takes over, nothing is lost')
    .addOption(pairOption())
    .addOption(noWaitOption())
    .addOption(timeoutOption(TIMEOUT_S))
    .addOption(yesOption())
    .action(testFailover);
}
