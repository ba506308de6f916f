// SPDX-License-Identifier: Apache-2.0
import { InvalidArgumentError, Option, type Command } from 'commander';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { requireAble } from '../check/check.js';
import type { AgentStatus } from '../local/agent-api.js';
import {
  hostOfDisks,
  lifeOf,
  makeImagesReady,
  parseDisk,
  refuseOldImages,
  settleDisks,
  type DiskWish,
} from '../local/disks.js';
import { LocalError } from '../local/errors.js';
import { HOSTS_MAX, pairLayout, type HostLayout, type PairLayout } from '../local/layout.js';
import { pairClaim, withLock } from '../local/lock.js';
import {
  bringUp,
  DEFAULT_CHOICE,
  DEFAULT_MACHINE,
  isTestGuest,
  makeSettings,
  orTakeDown,
  type MachineChoice,
} from '../local/pair.js';
import type { Pair } from '../local/settings.js';
import { instructionsOf, requireStarted, type Started } from '../local/started.js';
import { guestReady, startFirst } from '../local/vm.js';
import {
  memoryOption,
  noWaitOption,
  pairOption,
  positiveNumber,
  timeoutOption,
  wholeNumber,
} from './options.js';
import { goOn, stopAtNextStep, unlessStopped } from './stopping.js';
import { print, say, waitFor, type Look } from './talk.js';

const GUEST_READY_S = 120;
/** Of a busy machine that has to find the VM's memory first. */
const MACHINE_RUNS_MS = 30_000;

/**
 * Waits until the machine executes instructions, seen twice: QEMU may end after its monitor is there.
 * @throws LocalError START_FAILED in QEMU's words when it has ended
 */
export async function waitMachine(started: Started): Promise<void> {
  let before: bigint | null = null;
  await waitFor('the VM', MACHINE_RUNS_MS, async (): Promise<Look<true>> => {
    goOn();
    const now = await instructionsOf(started);
    const runs = now !== null && before !== null && now > before;
    before ??= now;
    return runs ? { done: true } : { meanwhile: 'QEMU starts' };
  });
}

/**
 * Waits until the test guest serves; a guest of someone's own says nothing that could be waited for.
 * @throws LocalError START_FAILED in QEMU's words when it has ended
 */
export async function waitGuest(started: Started, timeoutMs: number): Promise<void> {
  await waitFor('the guest', timeoutMs, async (): Promise<Look<true>> => {
    goOn();
    await requireStarted(started);
    return (await guestReady(started.incarnation.serialFile)) ? { done: true } : { meanwhile: 'it boots' };
  });
}

/** @throws LocalError START_FAILED when there is none */
export function startedOn(layout: PairLayout, host: HostLayout, { incarnation }: AgentStatus): Started {
  if (incarnation !== null) return { layout, host, incarnation };
  throw new LocalError('START_FAILED', `host ${host.name} runs nothing`);
}

/** Its whole path: hosts run QEMU from folders of their own. */
async function existingFile(path: string, cure: string): Promise<string> {
  const whole = resolve(path);
  const found = await stat(whole).catch(() => undefined);
  if (found?.isFile() !== true) throw new LocalError('USAGE', `there is no file ${whole}`, cure);
  return whole;
}

/** Both sides must be the same processor, whatever is below them. */
function cpuModel(text: string): string {
  if (/^(host|max)\b/.test(text)) {
    throw new InvalidArgumentError(`"${text}" is another processor on each machine: name a model.`);
  }
  return text;
}

/**
 * Brings a pair up with its VM running on the first host; on failure, or when it is
 * stopped (stopping.ts), nothing is left behind.
 * @throws LocalError PAIR_EXISTS when a pair of that name is up: it is left as it is.
 */
export async function upPair(pair: Pair, timeoutMs: number, waits: boolean): Promise<void> {
  const { layout, settings } = pair;
  const first = hostOfDisks(pair) ?? layout.hosts[0];
  if (first === undefined) throw new LocalError('USAGE', 'a pair without hosts');
  refuseOldImages(pair, first);
  makeImagesReady(pair, first);
  await bringUp(pair, say);
  await orTakeDown(layout, say, async () => {
    goOn();
    say(
      `starting the VM on host ${first.name} (${settings.machine.model}, ${settings.machine.memoryMiB} MiB)`,
    );
    const started = startedOn(layout, first, await unlessStopped(startFirst(first, lifeOf(pair))));
    await waitMachine(started);
    if (waits) await waitGuest(started, timeoutMs);
  });
}

/** Commander tells whose option it was. */
function diskWish(text: string): DiskWish {
  try {
    return parseDisk(text);
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    throw new InvalidArgumentError(`${error.message}. ${error.cure ?? ''}`);
  }
}

interface Options {
  readonly pair: string;
  readonly hosts: number;
  readonly machine: MachineChoice['model'];
  readonly memory: number;
  readonly cpu: string;
  readonly kernel: string;
  readonly initrd: string;
  readonly append: string;
  readonly disk: readonly DiskWish[];
  readonly copyRate?: number;
  readonly qemu: string;
  readonly timeout: number;
  readonly wait: boolean;
}

async function up(options: Options): Promise<void> {
  const layout = pairLayout(options.pair, options.hosts);
  const { machine: model, memory: memoryMiB, cpu, append } = options;
  const kernel = await existingFile(
    options.kernel,
    "Build the test guest: 'npm run setup', or name a kernel.",
  );
  const initrd = await existingFile(
    options.initrd,
    "Build the test guest: 'npm run setup', or name an initramfs.",
  );
  const qemuBinary = options.qemu.includes('/') ? resolve(options.qemu) : options.qemu;
  await requireAble(qemuBinary, memoryMiB);
  const disks = settleDisks(options.disk, layout);
  const machine = { model, memoryMiB, cpu, kernel, initrd, append, disks };
  const copyMiBPerSecond = options.copyRate ?? null;
  const settings = makeSettings(layout, { ...DEFAULT_CHOICE, machine, qemuBinary, copyMiBPerSecond });
  stopAtNextStep(say);
  await withLock(pairClaim(layout, "'lockstep up'"), () =>
    upPair({ layout, settings }, options.timeout * 1000, options.wait && isTestGuest(machine)),
  );
  print(`pair '${layout.name}' is up; the VM runs, not protected yet. Its network:`);
  print(`  nsenter --net=/run/netns/${layout.client.netns} redis-cli -h ${layout.guest.ip}`);
  print("Next: 'lockstep protect'");
}

export function addUp(program: Command): void {
  program
    .command('up')
    .description('make two hosts on this machine and start a VM on the first')
    .addOption(pairOption())
    .addOption(new Option('--hosts <n>', 'how many hosts').default(2).argParser(wholeNumber(2, HOSTS_MAX)))
    .addOption(
      new Option('--machine <model>', "the VM's devices").choices(['kubevirt', 'small']).default('kubevirt'),
    )
    .addOption(memoryOption("the VM's memory"))
    .addOption(
      new Option('--cpu <model>', 'CPU model, never "host" or "max"')
        .default(DEFAULT_MACHINE.cpu)
        .argParser(cpuModel),
    )
    .option('--kernel <file>', "the guest's kernel", DEFAULT_MACHINE.kernel)
    .option('--initrd <file>', "the guest's initramfs", DEFAULT_MACHINE.initrd)
    .addOption(
      new Option(
        '--disk <path,...>',
        'a disk; each host keeps an image of its own: PATH.a, PATH.b. Again for more',
      )
        .default([], 'none')
        .argParser((text: string, before: readonly DiskWish[]) => [...before, diskWish(text)]),
    )
    .addOption(
      new Option('--copy-rate <MiB/s>', 'most that copying the disks to a new backup takes').argParser(
        positiveNumber,
      ),
    )
    .option('--append <words>', "more for the kernel's command line", '')
    .option('--qemu <file>', 'which QEMU', DEFAULT_CHOICE.qemuBinary)
    .addOption(noWaitOption())
    .addOption(timeoutOption(GUEST_READY_S))
    .action(up);
}
