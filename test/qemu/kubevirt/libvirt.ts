// SPDX-License-Identifier: Apache-2.0
// A stand-in for libvirt and virt-launcher: starts QEMU with a command line that real ones gave (KubeVirt 1.7.0), with
// the descriptors that it names, through the door; then does with its monitor what libvirt does.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPO } from '../../../cli/local/layout.js';
import { niced, QEMU_NICE } from '../../../cli/local/plan.js';
import { placed } from '../../../cli/local/processes.js';
import { asKubeVirtsUser, giveToKubeVirtsUser } from './user.js';
import { Qmp } from '../../../sidecar/io/qmp/client.js';
import { recorded } from '../../../sidecar/kubevirt/argv/test/recorded.js';

const START = join(REPO, 'build/native/libvirt/start');
const DOOR = join(REPO, 'build/native/lockstep-door');
const MONITOR_MS_MAX = 60_000;
const KEY_BYTES = 32;

/** Numbers that the recorded command line gives its descriptors. */
const FDS = { serial: 17, agent: 18, serialLog: 19, monitor: 20, tap: 21 } as const;

export interface Domain {
  /** Of the VMI: in the domain's name and its paths, which differ on two sides. */
  readonly name: string;
  /** For what libvirt keeps of it. */
  readonly dir: string;
  readonly netns: string;
  readonly tap: string;
  readonly memoryMiB: number;
  readonly kernel: string;
  readonly initrd: string;
  /** Kernel command line. */
  readonly append: string;
  readonly mac: string;
  /** KubeVirt makes it from the VMI's name: each side asks for another. */
  readonly uuid: string;
  /** The sidecar's socket, and the folder with its QEMU. */
  readonly doorSocket: string;
  readonly bundle: string;
}

/** What the recorded command line says of its domain, and what this one has instead. */
const changes = (domain: Domain): readonly (readonly [string, string])[] => [
  ['guest=default_d1', `guest=default_${domain.name}`],
  ['/var/run/kubevirt-private/libvirt/qemu/lib/domain-1-default_d1', domain.dir],
  ['/var/run/kubevirt-private/5622514a-a0ad-46e5-aa44-ff531382a2b0', domain.dir],
  ['/var/run/kubevirt/container-disks/kernel-boot/vmlinuz', domain.kernel],
  ['/var/run/kubevirt/container-disks/kernel-boot/initrd.gz', domain.initrd],
  ['console=ttyS0 quiet', domain.append],
  ['262144k', `${domain.memoryMiB * 1024}k`],
  ['268435456', String(domain.memoryMiB * 1024 * 1024)],
  ['c2d1df9e-110a-415b-8564-c5a4bc89679c', domain.uuid],
  ['2a:1e:03:65:f0:c7', domain.mac],
];

/** The recorded command line with this domain's values. */
const commandLine = (domain: Domain): string[] =>
  recorded('kubevirt-1.7.0').map((word) =>
    changes(domain).reduce((made, [theirs, ours]) => made.replaceAll(theirs, ours), word),
  );

export class LibvirtStandIn {
  readonly serialLog: string;
  readonly log: string;
  private process: ChildProcess | null = null;

  constructor(private readonly domain: Domain) {
    mkdirSync(domain.dir, { recursive: true });
    this.serialLog = join(domain.dir, 'serial.log');
    this.log = join(domain.dir, 'qemu.log');
  }

  /**
   * Starts QEMU paused, and tells it to run; returns when it has taken that. @throws with QEMU's words
   * @param change what of the domain is otherwise this time
   */
  async start(change: Partial<Domain> = {}): Promise<void> {
    const domain = { ...this.domain, ...change };
    const { dir, netns, tap, bundle, doorSocket } = domain;
    const monitor = join(dir, 'monitor.sock');
    writeFileSync(join(dir, 'master-key.aes'), randomBytes(KEY_BYTES), { mode: 0o600 });
    giveToKubeVirtsUser(dir);
    const prepare = [
      `tap:${FDS.tap}=${tap}`,
      `listen:${FDS.monitor}=${monitor}`,
      `listen:${FDS.serial}=${join(dir, 'serial.sock')}`,
      `listen:${FDS.agent}=${join(dir, 'agent.sock')}`,
      `append:${FDS.serialLog}=${this.serialLog}`,
    ];
    const [file = '', ...args] = placed(
      niced(QEMU_NICE, [
        START,
        ...prepare,
        '--',
        ...asKubeVirtsUser([DOOR, ...commandLine(domain).slice(1)]),
      ]),
      { netns },
    );
    const log = openSync(this.log, 'a');
    const child = spawn(file, args, {
      cwd: dir,
      stdio: ['ignore', log, log],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LOCKSTEP_BUNDLE: bundle, LOCKSTEP_DOOR: doorSocket },
    });
    closeSync(log);
    this.process = child;
    const ended = once(child, 'exit').then((): never => {
      throw new Error(`QEMU did not start: ${readFileSync(this.log, 'utf8').trim()}`);
    });
    // A QEMU that ends closes its monitor first, and has better words.
    const qmp = await Promise.race([Qmp.connect(monitor, MONITOR_MS_MAX).catch(() => ended), ended]);
    ended.catch(() => undefined); // its end is looked at by `hasEnded`
    qmp.on('close', () => undefined);
    qmp.on('event', (name) => {
      if (name === 'SHUTDOWN') child.kill('SIGTERM'); // as on_poweroff=destroy has it
    });
    await qmp.execute('cont');
  }

  get hasEnded(): boolean {
    return this.process === null || this.process.exitCode !== null || this.process.signalCode !== null;
  }

  kill(): void {
    this.process?.kill('SIGKILL');
  }

  async ended(): Promise<void> {
    if (this.process !== null && !this.hasEnded) await once(this.process, 'exit');
  }
}
