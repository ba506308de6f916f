// SPDX-License-Identifier: Apache-2.0
// Brings a whole pair up, and takes it down, also what a crash left of one.
import { randomBytes, randomUUID } from 'node:crypto';
import { access, mkdir, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeCa, makeHostCertificate, writePair } from '../../sidecar/io/channel/pki.js';
import { ifMissing, LocalError } from './errors.js';
import { appendEvent } from './events.js';
import { bootHost } from './hosts.js';
import { REPO, type PairLayout } from './layout.js';
import { existingNamespaces, makeNetwork, pidsIn, removeNamespace } from './network.js';
import { identify, isAlive, runningFrom, signal, startDetached, terminate, waitGone } from './processes.js';
import { NOTHING_DESIRED, saveDesired, saveSettings, type Pair, type Settings } from './settings.js';
import { prepareStore, startStore } from './store.js';

const KEEPER = join(REPO, 'build/cli/local/keeper.js');
const CONTROLLER_READY_MS_MAX = 20_000;
const CONTROLLER_GRACE_MS = 2000;
const POLL_MS = 20;
const KILLED_GONE_MS_MAX = 5000;
const PASSWORD_BYTES = 24;

export type Progress = (line: string) => void;

export const newPassword = (): string => randomBytes(PASSWORD_BYTES).toString('base64url');
export const newUuid = (): string => randomUUID();

const exists = (path: string): Promise<boolean> =>
  ifMissing(
    access(path).then(() => true),
    false,
  );

/** @throws LocalError PAIR_EXISTS when a pair of that name is up. */
export async function refuseRunning(layout: PairLayout): Promise<void> {
  if ((await runningFrom(layout.controllerPid)) === undefined) return;
  const cure = `Take it down: 'lockstep down --pair ${layout.name}'.`;
  throw new LocalError('PAIR_EXISTS', `pair '${layout.name}' is up already`, cure);
}

/** @throws LocalError PAIR_EXISTS when anything still runs in the pair's network: it may be its VM. */
async function refuseLiving(layout: PairLayout): Promise<void> {
  const namespaces = await existingNamespaces(layout);
  const living = (await Promise.all(namespaces.map(pidsIn))).flat();
  if (living.length === 0) return;
  throw new LocalError(
    'PAIR_EXISTS',
    `the controller of pair '${layout.name}' is gone, but ${living.length} of its processes run, maybe its VM`,
    `Start its controller again: 'lockstep protect --pair ${layout.name}', or end all of it: 'lockstep down --pair ${layout.name}'.`,
  );
}

/** What runs is refused; what a crash left without life is removed. */
async function makeRoom(layout: PairLayout, say: Progress): Promise<void> {
  await refuseRunning(layout);
  await refuseLiving(layout);
  if ((await exists(layout.dir)) || (await existingNamespaces(layout)).length > 0) {
    say('removing what an earlier pair left behind');
    await takeDown(layout);
  }
}

/** The pair's own CA, which signs a certificate per host and is then forgotten. */
async function makeCertificates(layout: PairLayout): Promise<void> {
  const ca = await makeCa(`lockstep ${layout.name}`);
  await writePair(layout.tlsDir, 'ca', ca);
  for (const { name } of layout.hosts) {
    const names = { commonName: `host-${name}`, vms: [layout.name], dnsNames: [] };
    await writePair(layout.tlsDir, name, await makeHostCertificate(ca, names));
  }
  await rm(join(layout.tlsDir, 'ca.key'));
}

/**
 * Network, certificates, lease store, hosts and controller; no VM yet. On failure nothing is left behind.
 * @throws LocalError PAIR_EXISTS when a pair of that name is up: it is left as it is.
 */
export async function bringUp(pair: Pair, say: Progress): Promise<void> {
  await makeRoom(pair.layout, say);
  await orTakeDown(pair.layout, say, () => make(pair, say));
}

/** A step on the way up: when it fails, nothing of the pair is left. */
export async function orTakeDown(
  layout: PairLayout,
  say: Progress,
  step: () => Promise<void>,
): Promise<void> {
  try {
    await step();
  } catch (error) {
    say('taking the pair down again');
    await takeDown(layout);
    throw error;
  }
}

async function make({ layout, settings }: Pair, say: Progress): Promise<void> {
  // What is above a pair's folder is not its own, and open: other pairs' processes may be others' than root's.
  await mkdir(dirname(layout.dir), { recursive: true, mode: 0o755 });
  await mkdir(layout.dir, { recursive: true, mode: 0o700 });
  await saveSettings(layout, settings);
  await saveDesired(layout, NOTHING_DESIRED);
  appendEvent(layout.events, 'PairBegun', null, '');
  say(`network: ${layout.hosts.length} hosts, a client and a lease store on one bridge`);
  await makeNetwork(layout);
  await makeCertificates(layout);
  say('lease store');
  await prepareStore(layout, settings.storePassword);
  await startStore(layout);
  say('hosts');
  await Promise.all(layout.hosts.map((host) => bootHost(layout, host)));
  await startController(layout);
}

/** Starts the pair's controller when it does not run; true: it did not. */
export async function ensureController(layout: PairLayout): Promise<boolean> {
  if ((await runningFrom(layout.controllerPid)) !== undefined) return false;
  await startController(layout);
  appendEvent(layout.events, 'ControllerStarted', null, 'it was gone');
  return true;
}

/**
 * Starts the pair's controller with its keeper, and returns when they run.
 * @throws LocalError START_FAILED
 */
export async function startController(layout: PairLayout): Promise<void> {
  const command = [process.execPath, '--enable-source-maps', KEEPER, layout.name];
  const id = await identify(startDetached(command, {}, layout.controllerLog));
  const deadline = performance.now() + CONTROLLER_READY_MS_MAX;
  while ((await runningFrom(layout.controllerPid)) === undefined) {
    if (id === undefined || !(await isAlive(id)) || performance.now() > deadline) {
      const cure = `Its log is ${layout.controllerLog}.`;
      throw new LocalError('START_FAILED', 'the controller does not run', cure);
    }
    await sleep(POLL_MS);
  }
}

async function killAll(pids: readonly number[]): Promise<void> {
  const found = await Promise.all(pids.map(identify));
  const ids = found.filter((id) => id !== undefined);
  for (const id of ids) await signal(id, 'SIGKILL');
  for (const id of ids) {
    if (!(await waitGone(id, KILLED_GONE_MS_MAX))) {
      throw new LocalError('TIMEOUT', `process ${id.pid} does not end, not even by SIGKILL`);
    }
  }
}

async function removeRings(layout: PairLayout): Promise<void> {
  const folder = dirname(layout.ringPrefix);
  const names = (await readdir(folder)).filter((name) => name.startsWith(basename(layout.ringPrefix)));
  for (const name of names) await rm(join(folder, name), { force: true });
}

/**
 * Removes all of a pair: processes, namespaces, rings, run folder. Works on ruins too; nothing there is fine.
 * Whatever runs in the pair's namespaces is the pair's, whoever started it.
 */
export async function takeDown(layout: PairLayout): Promise<void> {
  for (const file of [layout.settings, layout.desired]) await rm(file, { force: true }); // whom no pid file names ends by that
  const controller = await runningFrom(layout.controllerPid).catch(() => undefined); // a damaged file names nobody
  if (controller !== undefined) await terminate(controller, CONTROLLER_GRACE_MS, 'group');
  const namespaces = await existingNamespaces(layout);
  for (const netns of namespaces) await killAll(await pidsIn(netns));
  for (const netns of namespaces) await removeNamespace(netns);
  await removeRings(layout);
  await rm(layout.dir, { recursive: true, force: true });
}

export interface MachineChoice {
  readonly model: Settings['machine']['model'];
  readonly memoryMiB: number;
  readonly cpu: string;
  readonly kernel: string;
  readonly initrd: string;
  /** Added to the kernel's command line. */
  readonly append: string;
  readonly disks: Settings['machine']['disks'];
}

export const DEFAULT_MACHINE: MachineChoice = {
  model: 'kubevirt',
  memoryMiB: 256,
  cpu: 'EPYC',
  kernel: join(REPO, 'build/guest/vmlinuz'),
  initrd: join(REPO, 'build/guest/initrd.cpio'),
  append: '',
  disks: [],
};

/** The guest that is built for tests, which says on its console when it serves; of another's nothing is known. */
export const isTestGuest = ({ kernel, initrd }: Pick<MachineChoice, 'kernel' | 'initrd'>): boolean =>
  kernel === DEFAULT_MACHINE.kernel && initrd === DEFAULT_MACHINE.initrd;

export interface PairChoice {
  readonly machine: MachineChoice;
  readonly qemuBinary: string;
  readonly sidecarMain: string;
  readonly ringMiB: number;
  readonly copyMiBPerSecond: number | null;
  readonly sidecarOverrides: Readonly<Record<string, unknown>>;
}

export const DEFAULT_CHOICE: PairChoice = {
  machine: DEFAULT_MACHINE,
  qemuBinary: 'qemu-system-x86_64',
  sidecarMain: join(REPO, 'build/sidecar/local/main.js'),
  ringMiB: 64,
  copyMiBPerSecond: null,
  sidecarOverrides: {},
};

/** Settings for a new pair. */
export function makeSettings(layout: PairLayout, choice: PairChoice = DEFAULT_CHOICE): Settings {
  const { machine } = choice;
  const network = `lockstep.ip=${layout.guest.ip}/${layout.prefixBits}`;
  return {
    name: layout.name,
    hostCount: layout.hosts.length,
    machine: {
      ...machine,
      disks: [...machine.disks],
      mac: layout.guest.mac,
      uuid: newUuid(),
      append: `console=ttyS0 quiet ${network} ${machine.append}`.trimEnd(),
    },
    qemuBinary: choice.qemuBinary,
    sidecarMain: choice.sidecarMain,
    ringBytes: choice.ringMiB * 1024 * 1024,
    copyMiBPerSecond: choice.copyMiBPerSecond,
    storePassword: newPassword(),
    sidecarOverrides: { ...choice.sidecarOverrides },
  };
}
