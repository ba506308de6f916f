// SPDX-License-Identifier: Apache-2.0
/** One start of QEMU in a launcher pod: its nonce, its files, its command line, and the assembly that serves it. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { Tap, probeUserfaultfd } from '../../native/addon/index.js';
import type { ChannelTls } from '../io/channel/tls.js';
import { RedisLease } from '../io/lease/redis.js';
import { Assembly, type AssemblyHandlers } from '../runtime/assembly.js';
import { NO_DISKS } from '../runtime/disks/disks.js';
import { QUIESCE_MS_MAX_DEFAULT, RING_BYTES_DEFAULT, type Site, type Start } from '../runtime/site.js';
import { withoutUndefined } from '../settings.js';
import { backupArgv, deviceHash, nicOf, primaryArgv, shimEnvironment, type Files } from './argv/index.js';
import { PORTS, type Config, type Pod } from './config.js';
import type { StartRequest } from './start.js';
import type { Incarnation } from './life.js';
import type { Machine } from './machine.js';
import { Refusal } from './trouble.js';

/** What does not change from start to start. */
export interface Place {
  readonly config: Config;
  readonly pod: Pod;
  /** In memory; shared with the container in which QEMU runs. */
  readonly runDir: string;
  readonly tls: () => ChannelTls;
}

/** So much of a nonce tells incarnations apart in file names; socket paths have little room (107 bytes). */
const NONCE_DIGITS = 8;

const newNonce = (): string => randomBytes(16).toString('hex');

/** @param env of the door: tests have their bundle elsewhere */
function filesOf(runDir: string, nonce: string, env: StartRequest['env']): Files {
  const dir = join(runDir, nonce.slice(0, NONCE_DIGITS));
  const bundle = env['LOCKSTEP_BUNDLE'];
  return {
    ...(bundle === undefined ? {} : { firmware: join(bundle, 'share/qemu') }),
    dir,
    ringFile: join(dir, 'ring'),
    qmpSocket: join(dir, 'qmp.sock'),
    netSocket: join(dir, 'net.sock'),
    cloneSocket: join(dir, 'clone.sock'),
  };
}

/** What QEMU is started with, and what it is worth to the other side. @throws when libvirt's wishes cannot work */
function commandOf(role: Start['role'], { argv: own }: StartRequest, machine: Machine, files: Files) {
  const options = { cpuModel: machine.cpuModel, mac: machine.mac };
  const argv =
    role === 'primary'
      ? primaryArgv(machine.argv, files, options)
      : backupArgv(machine.argv, own, files, options);
  return { argv, hash: deviceHash(machine.argv, options), mac: machine.mac ?? nicOf(machine.argv).mac };
}

/** All that QEMU needs stands when this resolves. @throws with the reason; nothing is left then */
export async function openIncarnation(
  place: Place,
  request: StartRequest,
  machine: Machine,
  handlers: AssemblyHandlers,
): Promise<Incarnation> {
  const { config, runDir } = place;
  const nonce = newNonce();
  const files = filesOf(runDir, nonce, request.env);
  const { argv, hash, mac } = commandOf(config.start.role, request, machine, files);
  checkNode();
  const remove = (): void => {
    rmSync(files.dir, { recursive: true, force: true });
  };
  mkdirSync(files.dir, { mode: 0o770 });
  try {
    const site = openSite(place, { nonce, files, hash, mac, tapFd: request.tapFd });
    const assembly = await Assembly.open(site, {
      ...handlers,
      onEnd: (ending, failed) => {
        remove();
        handlers.onEnd(ending, failed);
      },
    });
    return { assembly, answer: { argv, env: shimEnvironment(files) } };
  } catch (error) {
    remove();
    throw error;
  }
}

/** A side that cannot be cloned is none: neither now as primary nor later, when it has taken over. */
function checkNode(): void {
  const { error } = probeUserfaultfd();
  if (error === null) return;
  const cure = 'set nodePreparation.enabled in the chart, or vm.unprivileged_userfaultfd=1 on the node';
  const words = `this node cannot clone a guest: ${cure} (${error.message})`;
  throw new Refusal(error.code, words, { cause: error });
}

interface Own {
  readonly nonce: string;
  readonly files: Files;
  readonly hash: string;
  readonly mac: string;
  readonly tapFd: number | null;
}

function openSite({ config, pod, tls }: Place, { nonce, files, hash, mac, tapFd }: Own): Site {
  if (tapFd === null) {
    throw new Refusal('noTap', 'libvirt hands QEMU no tap: the VM needs one interface of masquerade or tap');
  }
  const { vm, start, log, limits } = config;
  return {
    vm,
    host: pod.node,
    nonce,
    start,
    deviceHash: hash,
    ring: { file: files.ringFile, bytes: RING_BYTES_DEFAULT, quiesceMsMax: QUIESCE_MS_MAX_DEFAULT },
    qmpSocket: files.qmpSocket,
    netSocket: files.netSocket,
    cloneSocket: files.cloneSocket,
    guestMac: mac,
    // All addresses: the channel may have a network of its own. Who has no certificate is not let in.
    listen: { host: isIPv6(pod.ip) ? '::' : '0.0.0.0', port: PORTS.channel },
    tls: tls(),
    log,
    limits,
    disks: NO_DISKS,
    tap: Tap.adopt(tapFd),
    lease: openLease(config),
  };
}

function openLease({ vm, store, limits }: Config): RedisLease {
  const { tlsCa, ...rest } = store;
  return new RedisLease({
    vm,
    ...withoutUndefined(rest),
    callTimeoutMs: limits.leaseTimeoutMs,
    ...(tlsCa === undefined ? {} : { tls: { ca: tlsCa } }),
  });
}
