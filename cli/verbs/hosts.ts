// SPDX-License-Identifier: Apache-2.0
// kill-host, start-host, cold-start: the verbs about one host.
import type { Command } from 'commander';
import { LocalError } from '../local/errors.js';
import { bootHost, cutPower, hasPower } from '../local/hosts.js';
import { hostOf, type HostLayout } from '../local/layout.js';
import { pairClaim, withLock } from '../local/lock.js';
import { isTestGuest } from '../local/pair.js';
import { loadDesired, loadPair, saveDesired, type Pair } from '../local/settings.js';
import { coldStart } from '../local/vm.js';
import { pairOption, timeoutOption, yesOption } from './options.js';
import { confirm, print } from './talk.js';
import { startedOn, waitGuest, waitMachine } from './up.js';

const GUEST_READY_S = 120;

async function setPower(pair: Pair, host: string, off: boolean): Promise<void> {
  const desired = await loadDesired(pair.layout);
  const others = desired.poweredOff.filter((name) => name !== host);
  await saveDesired(pair.layout, { ...desired, poweredOff: off ? [...others, host] : others });
}

interface KillOptions {
  readonly pair: string;
  readonly stayOff?: true;
  readonly yes?: true;
}

/** What has become of it, in words. */
async function kill(pair: Pair, host: HostLayout, staysOff: boolean): Promise<string> {
  const { name } = host;
  if (!(await hasPower(host))) {
    if (!staysOff) throw new LocalError('HOST_DOWN', `host ${name} has no power already`);
    await setPower(pair, name, true);
    return `host ${name} had no power already, and stays so`;
  }
  await setPower(pair, name, staysOff);
  await cutPower(pair.layout, host);
  return `host ${name} is dead${staysOff ? ' and stays so' : '; it will be rebooted'}`;
}

async function killHost(name: string, options: KillOptions): Promise<void> {
  const pair = await loadPair(options.pair);
  const host = hostOf(pair.layout, name);
  await confirm(`Cut the power of host ${name}? All that runs on it dies at once.`, options.yes);
  const staysOff = options.stayOff === true;
  print(await withLock(pairClaim(pair.layout, "'lockstep kill-host'"), () => kill(pair, host, staysOff)));
}

async function startHost(name: string, options: { readonly pair: string }): Promise<void> {
  const pair = await loadPair(options.pair);
  const host = hostOf(pair.layout, name);
  await withLock(pairClaim(pair.layout, "'lockstep start-host'"), async () => {
    await setPower(pair, name, false);
    await bootHost(pair.layout, host);
  });
  print(`host ${name} is up`);
}

interface ColdStartOptions {
  readonly pair: string;
  readonly timeout: number;
  readonly yes?: true;
  readonly insist?: true;
}

async function coldStartOn(name: string, options: ColdStartOptions): Promise<void> {
  const pair = await loadPair(options.pair);
  const host = hostOf(pair.layout, name);
  await confirm('Start the VM from nothing? What it had in memory is lost.', options.yes);
  // Held from the look at all hosts until one runs the VM: two at once would each see nothing run.
  const insists = options.insist === true;
  const status = await withLock(pairClaim(pair.layout, "'lockstep cold-start'"), () =>
    coldStart(pair, host, insists),
  );
  const started = startedOn(pair.layout, host, status);
  await waitMachine(started);
  if (isTestGuest(pair.settings.machine)) await waitGuest(started, options.timeout * 1000);
  print(`the VM runs on host ${name}, from a cold start`);
}

export function addHostVerbs(program: Command): void {
  program
    .command('kill-host')
    .description("cut a host's power: SIGKILL to all that runs on it")
    .argument('<host>', 'which host')
    .addOption(pairOption())
    .option('--stay-off', 'do not reboot it')
    .addOption(yesOption())
    .action(killHost);
  program
    .command('start-host')
    .description('switch a host on again that was to stay off')
    .argument('<host>', 'which host')
    .addOption(pairOption())
    .action(startHost);
  program
    .command('cold-start')
    .description('start the VM from nothing, after both sides died')
    .argument('<host>', 'where')
    .addOption(pairOption())
    .option(
      '--insist',
      "also from a disk's image that is not the newest: what only the other one has is lost",
    )
    .addOption(timeoutOption(GUEST_READY_S))
    .addOption(yesOption())
    .action(coldStartOn);
}
