// SPDX-License-Identifier: Apache-2.0
// What the machine must offer: rights, devices, kernel features, memory.
import { access, readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type * as Addon from '../../native/addon/index.js';
import { messageOf } from '../local/errors.js';
import { REPO } from '../local/layout.js';
import { run } from '../local/run.js';
import { fine, lack, RUN_SETUP, type Finding } from './finding.js';

const MIB = 1024 * 1024;
/** Besides the guest's memory on both sides: QEMU's own, two Node processes a host, Redis. */
const MEMORY_MIB_BESIDES = 1000;
/** A ring a side, and one more while a dead one is not yet removed. */
const SHM_MIB_MIN = 200;
const NODE_MIN = [20, 19] as const;

export function checkRoot(): Finding {
  const uid = process.getuid?.();
  if (uid === 0) return fine('root', 'yes');
  return lack('root', `user ${uid ?? '?'}`, 'Run this as root: namespaces and taps need it.');
}

export function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const enough = major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
  if (enough) return fine('Node', process.version);
  return lack('Node', process.version, `Install Node ${NODE_MIN.join('.')} or later.`);
}

export async function checkNetns(): Promise<Finding> {
  try {
    await run('unshare', ['--net', '--pid', '--fork', '--', 'true']);
    await run('ip', ['-V']);
    return fine('namespaces', 'network and pid namespaces can be made');
  } catch (error) {
    const cure = 'Run as root (in a container: with CAP_SYS_ADMIN), and have iproute2 installed.';
    return lack('namespaces', messageOf(error), cure);
  }
}

/** The add-on may not be built yet, which must not end the whole check. */
async function loadAddon(): Promise<typeof Addon | string> {
  try {
    return await import('../../native/addon/index.js');
  } catch (error) {
    return messageOf(error);
  }
}

/** Lines about everything that only the add-on can look at. */
export async function checkKernel(): Promise<Finding[]> {
  const addon = await loadAddon();
  if (typeof addon === 'string') return [lack('add-on', addon, RUN_SETUP)];
  const tun = addon.probeTun().error;
  const uffd = addon.probeUserfaultfd().error;
  return [
    fine('add-on', 'loads'),
    tun === null ? fine('tun', 'taps can be made') : lack('tun', tun.code, tun.message),
    uffd === null
      ? fine('userfaultfd', 'pages can be write-protected')
      : lack('userfaultfd', uffd.code, uffd.message),
  ];
}

/** QEMU takes all of a guest's memory when it starts, on both sides. */
export async function checkMemory(guestMiB: number): Promise<Finding> {
  const neededMiB = 2 * guestMiB + MEMORY_MIB_BESIDES;
  const text = await readFile('/proc/meminfo', 'utf8');
  const availableMiB = Math.floor(Number(/^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) / 1024);
  if (availableMiB >= neededMiB) return fine('memory', `${availableMiB} MiB free`);
  return lack(
    'memory',
    `${availableMiB} MiB free`,
    `Free some, or give the VM less: with ${guestMiB} MiB of its own on each side it needs ${neededMiB} MiB.`,
  );
}

export async function checkShm(): Promise<Finding> {
  const { bavail, bsize } = await statfs('/dev/shm');
  const freeMiB = Math.floor((bavail * bsize) / MIB);
  if (freeMiB >= SHM_MIB_MIN) return fine('/dev/shm', `${freeMiB} MiB free`);
  return lack(
    '/dev/shm',
    `${freeMiB} MiB free`,
    `Rings of 64 MiB need ${SHM_MIB_MIN} MiB: mount -o remount,size=512M /dev/shm`,
  );
}

export async function checkBuilt(): Promise<Finding[]> {
  const parts = [
    ['shim', 'build/native/lockstep-shim.so'],
    ['sidecar', 'build/sidecar/local/main.js'],
    ['test guest', 'build/guest/initrd.cpio'],
  ] as const;
  return Promise.all(
    parts.map(([name, file]) =>
      access(join(REPO, file)).then(
        () => fine(name, file),
        () => lack(name, `no ${file}`, RUN_SETUP),
      ),
    ),
  );
}
