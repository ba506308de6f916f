// SPDX-License-Identifier: Apache-2.0
// A launcher pod without Kubernetes: the product's sidecar, and a stand-in for libvirt that starts QEMU through the door.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPO, type HostLayout } from '../../../cli/local/layout.js';
import { HOST_TAP } from '../../../cli/local/network.js';
import { niced, SIDECAR_NICE } from '../../../cli/local/plan.js';
import { placed } from '../../../cli/local/processes.js';
import type { ChannelTls } from '../../../sidecar/io/channel/tls.js';
import { epitaphSchema, type Epitaph } from '../../../sidecar/observe/status-schema.js';
import { LibvirtStandIn, type Domain } from './libvirt.js';
import { asKubeVirtsUser, giveToKubeVirtsUser } from './user.js';
import type { Target } from './operator-messages.js';

const MAIN = join(REPO, 'build/sidecar/kubevirt/main.js');

export interface PodPlan {
  readonly host: HostLayout;
  readonly name: string;
  /** Files, but for what is in memory. */
  readonly dir: string;
  /** In memory. */
  readonly runDir: string;
  readonly vm: string;
  /** sidecar.json */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly keys: ChannelTls;
  readonly bundle: string;
  readonly machine: Pick<Domain, 'memoryMiB' | 'kernel' | 'initrd' | 'append' | 'mac' | 'uuid'>;
}

export class Pod {
  readonly libvirt: LibvirtStandIn;
  /** For who asks its sidecar. */
  readonly target: Target;
  private readonly sidecar: ChildProcess;
  private readonly terminationLog: string;

  constructor(readonly plan: PodPlan) {
    const { dir, runDir, host, name, vm, machine, bundle } = plan;
    const secret = join(dir, 'secret');
    for (const folder of [dir, runDir, secret]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(secret, 'sidecar.json'), JSON.stringify(plan.settings));
    writeFileSync(join(secret, 'ca.crt'), plan.keys.ca);
    writeFileSync(join(secret, 'tls.crt'), plan.keys.cert);
    writeFileSync(join(secret, 'tls.key'), plan.keys.key);
    this.terminationLog = join(dir, 'termination-log');
    giveToKubeVirtsUser(dir, runDir);
    this.sidecar = this.launch(secret);
    this.target = { name, host: host.ip, vm };
    this.libvirt = new LibvirtStandIn({
      ...machine,
      name,
      dir: join(dir, 'libvirt'),
      netns: host.netns,
      tap: HOST_TAP,
      doorSocket: join(runDir, 'door.sock'),
      bundle,
    });
  }

  /** How the sidecar ended. */
  get epitaph(): Epitaph {
    return epitaphSchema.parse(JSON.parse(readFileSync(this.terminationLog, 'utf8')));
  }

  get exitCode(): number | null {
    return this.sidecar.exitCode;
  }

  get sidecarLog(): string {
    return join(this.plan.dir, 'sidecar.log');
  }

  /** The kubelet wants the pod to end. */
  terminate(): void {
    this.sidecar.kill('SIGTERM');
  }

  /** As a node dies: nothing is flushed. */
  async kill(): Promise<void> {
    this.sidecar.kill('SIGKILL');
    this.libvirt.kill();
    await this.ended();
  }

  async ended(): Promise<void> {
    if (this.sidecar.exitCode === null && this.sidecar.signalCode === null) await once(this.sidecar, 'exit');
    await this.libvirt.ended();
  }

  private launch(secret: string): ChildProcess {
    const { host, runDir } = this.plan;
    const options = ['--settings', secret, '--run', runDir, '--termination-log', this.terminationLog];
    const program = [process.execPath, '--enable-source-maps', MAIN, ...options];
    const command = niced(SIDECAR_NICE, asKubeVirtsUser(program));
    const [file = '', ...args] = placed(command, { netns: host.netns });
    const log = openSync(this.sidecarLog, 'a');
    const child = spawn(file, args, {
      stdio: ['ignore', log, log],
      env: { ...process.env, POD_IP: host.ip, NODE_NAME: host.name },
    });
    closeSync(log);
    return child;
  }
}
