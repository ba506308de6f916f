// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';
import { pairClaim, withLock } from '../local/lock.js';
import { ensureController } from '../local/pair.js';
import { loadDesired, loadPair, saveDesired, type Pair } from '../local/settings.js';
import { pairStatus, type PairStatus } from '../local/status.js';
import { noWaitOption, pairOption, timeoutOption } from './options.js';
import { print, say, waitFor, type Look } from './talk.js';

const TIMEOUT_S = 120;

export function describe(status: PairStatus): string {
  const hosts = status.hosts.map((host) => `${host.name} ${host.phase ?? host.kind}`).join(', ');
  return `${status.state ?? status.status}${status.reason === null ? '' : `, ${status.reason}`} (${hosts})`;
}

/** Waits until the VM is protected; more conditions may be put. */
export function waitProtected(
  pair: Pair,
  timeoutMs: number,
  also: (status: PairStatus) => boolean = () => true,
): Promise<PairStatus> {
  return waitFor('protection', timeoutMs, async (): Promise<Look<PairStatus>> => {
    const status = await pairStatus(pair);
    return status.status === 'Protected' && also(status) ? { done: status } : { meanwhile: describe(status) };
  });
}

/** Switches protection on; the controller does the rest, and is started again when it is gone. */
export async function wantProtection(pair: Pair): Promise<void> {
  if (await ensureController(pair.layout)) say("the pair's controller was gone; it runs again");
  const desired = await loadDesired(pair.layout);
  await saveDesired(pair.layout, { ...desired, protected: true });
}

interface Options {
  readonly pair: string;
  readonly timeout: number;
  readonly wait: boolean;
}

async function protect(options: Options): Promise<void> {
  const pair = await loadPair(options.pair);
  await withLock(pairClaim(pair.layout, "'lockstep protect'"), () => wantProtection(pair));
  if (!options.wait) {
    say('asked for; see: lockstep status');
    return;
  }
  const status = await waitProtected(pair, options.timeout * 1000);
  print(`Protected: primary on host ${status.primary ?? '?'}, backup on host ${status.backup ?? '?'}`);
}

export function addProtect(program: Command): void {
  program
    .command('protect')
    .description('give the VM a backup on another host, now and after each failover')
    .addOption(pairOption())
    .addOption(noWaitOption())
    .addOption(timeoutOption(TIMEOUT_S))
    .action(protect);
}
