// SPDX-License-Identifier: Apache-2.0
// What the machine must have: Debian packages, a folder that kind mounts, Go.
import { mkdir } from 'node:fs/promises';
import { LocalError } from '../../../cli/local/errors.js';
import { ask, runLong } from './command.js';
import { step } from './progress.js';
import { goIsNewEnough } from './programs.js';

const INSTALL_TIMEOUT_MS = 10 * 60_000;

/** Of Debian 12. runc and what is for podman's networks by name: podman alone would bring crun and no name service. */
export const PACKAGES: readonly string[] = [
  'podman',
  'buildah',
  'runc',
  'conmon',
  'netavark',
  'aardvark-dns',
  'iptables',
  'iproute2',
  'mmdebstrap',
  'ca-certificates',
  'gcc',
  'libc6-dev',
  'pkg-config',
  'tcpdump',
  'ethtool',
];
/** Of backports: KubeVirt's launcher is linked against the libvirt that its image has. */
export const BACKPORTS: readonly string[] = ['libvirt-dev'];
const BACKPORTS_SUITE = 'bookworm-backports';

const APT = ['-qq', '-o', 'Dpkg::Use-Pty=0', '-o', 'APT::Sandbox::User=root'];

/** Of `wanted`, what dpkg-query's lines `STATUS PACKAGE` don't show as installed. Pure. */
export function missingOf(wanted: readonly string[], listed: string): string[] {
  const there = new Set(
    listed
      .split('\n')
      .flatMap((line) => (line.startsWith('installed ') ? [line.slice('installed '.length)] : [])),
  );
  return wanted.filter((name) => !there.has(name));
}

async function missing(wanted: readonly string[]): Promise<string[]> {
  const listed = await ask('dpkg-query', ['-W', '-f', '${db:Status-Status} ${Package}\n']);
  return missingOf(wanted, listed);
}

async function install(names: readonly string[], more: readonly string[] = []): Promise<void> {
  await runLong('apt-get', [...APT, 'install', '-y', '--no-install-recommends', ...more, ...names], {
    env: { DEBIAN_FRONTEND: 'noninteractive' },
    timeoutMs: INSTALL_TIMEOUT_MS,
    log: 'packages',
  });
}

async function installPackages(): Promise<void> {
  const own = await missing(PACKAGES);
  const backports = await missing(BACKPORTS);
  if (own.length + backports.length === 0) return;
  await step(`Debian packages: ${[...own, ...backports].join(' ')}`, async () => {
    await runLong('apt-get', [...APT, 'update'], { timeoutMs: INSTALL_TIMEOUT_MS, log: 'packages' });
    if (own.length > 0) await install(own);
    if (backports.length > 0) await install(backports, ['-t', BACKPORTS_SUITE]);
  });
}

async function requireGo(): Promise<void> {
  const cure = 'Kubernetes and KubeVirt are built from source: install Go 1.24 or later.';
  const words = await ask('go', ['version']).catch((error: unknown) => {
    throw new LocalError('UNABLE', 'Go is missing', cure, { cause: error });
  });
  if (!goIsNewEnough(words)) throw new LocalError('UNABLE', `too old: ${words.trim()}`, cure);
}

/** @throws LocalError UNABLE with what to install by hand. */
export async function prepareMachine(): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new LocalError('UNABLE', 'not root', 'Nodes are privileged containers: run this as root.');
  }
  await requireGo();
  await installPackages();
  // kind mounts it into each node, whether or not the kernel has modules.
  await mkdir('/lib/modules', { recursive: true });
}
