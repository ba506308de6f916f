// SPDX-License-Identifier: Apache-2.0
// What an incarnation is made of: paths, the sidecar's settings, both command lines. Pure.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { StartRequest } from './agent-api.js';
import { hostImage } from './disks.js';
import type { IncarnationPlan } from './incarnation.js';
import { REPO, type HostLayout } from './layout.js';
import { HOST_TAP } from './network.js';
import { diskId, qemuCommand, shimEnvironment, type QemuPaths } from './qemu.js';
import type { Pair, Settings } from './settings.js';
import { STORE_USER } from './store.js';

/** Where each host's sidecar listens for its peer. */
export const CHANNEL_PORT = 7700;
/** Where each host's sidecar serves Prometheus. */
export const METRICS_PORT = 9700;

const SHIM = join(REPO, 'build/native/lockstep-shim.so');
/**
 * Above all else on the machine (nice(1); lower is more): a sidecar that does not get to run for the detector's
 * time-out loses its part, and a guest that does not run is an outage. Threads inherit it.
 */
export const SIDECAR_NICE = -10;
export const QEMU_NICE = -5;
export const niced = (nice: number, command: readonly string[]): string[] => [
  'nice',
  '-n',
  String(nice),
  ...command,
];

/** Of a sidecar: a slow flush of one disk must hold up neither another disk nor a clone, which is read by them as well. */
const FILE_THREADS = 16;

/** Sets the environment only for the last program, not for those that start it: a preloaded library is in all. */
const withEnv = (env: Readonly<Record<string, string>>, command: readonly string[]): string[] => [
  'env',
  ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
  ...command,
];

/** So much of a nonce tells incarnations apart in file names; socket paths have little room (107 bytes). */
const NONCE_DIGITS = 8;

/** Equal for two machines exactly when one can follow the other: everything of the command line but paths. */
export function deviceHash(settings: Settings): string {
  const paths: QemuPaths = {
    qmpSocket: 'qmp',
    netSocket: 'net',
    serialFile: 'serial',
    vncSocket: 'vnc',
    diskSockets: settings.machine.disks.map((_, index) => diskId(index)),
  };
  const command = qemuCommand({ machine: settings.machine, paths, mode: 'record', qemuBinary: 'qemu' });
  return createHash('sha256')
    .update(JSON.stringify([command, settings.machine.disks.map(({ bytes }) => bytes)]))
    .digest('hex');
}

interface Files extends QemuPaths {
  readonly dir: string;
  readonly ringFile: string;
  readonly controlSocket: string;
  readonly cloneSocket: string;
}

function filesOf(host: HostLayout, nonce: string, disks: number): Files {
  const short = nonce.slice(0, NONCE_DIGITS);
  const dir = join(host.dir, short);
  return {
    dir,
    ringFile: `${host.ringPrefix}${short}.ring`,
    controlSocket: join(dir, 'control.sock'),
    cloneSocket: join(dir, 'clone.sock'),
    qmpSocket: join(dir, 'qmp.sock'),
    netSocket: join(dir, 'net.sock'),
    serialFile: join(dir, 'serial.log'),
    vncSocket: join(dir, 'vnc.sock'),
    diskSockets: Array.from({ length: disks }, (_, index) => join(dir, `${diskId(index)}.sock`)),
  };
}

function sidecarConfig(
  { layout, settings }: Pair,
  host: HostLayout,
  nonce: string,
  request: StartRequest,
  files: Files,
) {
  return {
    vm: layout.name,
    host: host.name,
    nonce,
    start:
      request.role === 'primary'
        ? { role: 'primary', coldStart: request.lease }
        : { role: 'backup', peer: request.peer },
    deviceHash: deviceHash(settings),
    ring: { file: files.ringFile, bytes: settings.ringBytes },
    qmpSocket: files.qmpSocket,
    netSocket: files.netSocket,
    cloneSocket: files.cloneSocket,
    disks: settings.machine.disks.map((disk, index) => ({
      id: diskId(index),
      socket: files.diskSockets[index],
      image: hostImage(disk, host),
      bytes: disk.bytes,
    })),
    ...(request.role === 'primary' ? { life: request.life } : {}),
    ...(settings.copyMiBPerSecond === null ? {} : { copyMiBPerSecond: settings.copyMiBPerSecond }),
    tap: HOST_TAP,
    guestMac: settings.machine.mac,
    listen: { host: host.ip, port: CHANNEL_PORT },
    tls: {
      ca: join(layout.tlsDir, 'ca.crt'),
      cert: join(layout.tlsDir, `${host.name}.crt`),
      key: join(layout.tlsDir, `${host.name}.key`),
    },
    store: {
      host: layout.store.ip,
      port: layout.store.port,
      username: STORE_USER,
      password: settings.storePassword,
    },
    control: { socket: files.controlSocket },
    metrics: { host: host.ip, port: METRICS_PORT },
    log: { format: 'readable' },
    ...settings.sidecarOverrides,
  };
}

/** Everything about the incarnation `nonce` that `request` asks for on `host`. */
export function planIncarnation(
  pair: Pair,
  host: HostLayout,
  nonce: string,
  request: StartRequest,
): IncarnationPlan {
  const files = filesOf(host, nonce, pair.settings.machine.disks.length);
  const configFile = join(files.dir, 'sidecar.json');
  return {
    nonce,
    role: request.role,
    dir: files.dir,
    ringFile: files.ringFile,
    controlSocket: files.controlSocket,
    qmpSocket: files.qmpSocket,
    serialFile: files.serialFile,
    configFile,
    config: sidecarConfig(pair, host, nonce, request, files),
    sidecarCommand: niced(
      SIDECAR_NICE,
      withEnv({ UV_THREADPOOL_SIZE: String(FILE_THREADS) }, [
        process.execPath,
        '--enable-source-maps',
        pair.settings.sidecarMain,
        '--config',
        configFile,
      ]),
    ),
    qemuCommand: niced(
      QEMU_NICE,
      withEnv(
        shimEnvironment({
          shim: SHIM,
          ring: files.ringFile,
          netSocket: files.netSocket,
          cloneSocket: files.cloneSocket,
          diskSockets: files.diskSockets,
        }),
        qemuCommand({
          machine: pair.settings.machine,
          paths: files,
          mode: request.role === 'primary' ? 'record' : 'replay',
          qemuBinary: pair.settings.qemuBinary,
        }),
      ),
    ),
  };
}
