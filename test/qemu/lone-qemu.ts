// SPDX-License-Identifier: Apache-2.0
// A real QEMU with the shim and without a sidecar: the test itself plays the sidecar's part on the ring.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { qemuCommand, shimEnvironment, type Machine } from '../../cli/local/qemu.js';
import { Ring, type RingStart } from '../../native/addon/index.js';
import { Qmp } from '../../sidecar/io/qmp/client.js';

const ROOT = resolve(import.meta.dirname, '../../..');
const RING_BYTES = 64 * 1024 * 1024;
const QUIESCE_MS_MAX = 3_000;
const QMP_CONNECT_MS = 20_000;
const POLL_MS = 5;

export const MACHINE: Machine = {
  model: 'kubevirt',
  memoryMiB: 256,
  cpu: 'EPYC',
  mac: '52:54:00:00:00:01',
  uuid: '5d307ca9-b3ef-428c-8861-06e72d69f223',
  kernel: join(ROOT, 'build/guest/vmlinuz'),
  initrd: join(ROOT, 'build/guest/initrd.cpio'),
  append: 'console=ttyS0 quiet panic=-1 lockstep.ip=10.77.0.2/24 lockstep.tick_ms=100',
  disks: [],
};

/** Waits for what has no event of its own (a word in shared memory, a file's contents). */
export async function until(condition: () => boolean, what: string, timeoutMs = 60_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(POLL_MS);
  }
}

export class LoneQemu {
  private constructor(
    readonly ring: Ring,
    readonly qmp: Qmp,
    readonly folder: string,
    readonly process: ChildProcess,
    private readonly server: Server,
    private readonly sockets: readonly Socket[],
  ) {}

  /** @param refuses while a file of this name exists, the kernel refuses to write-protect memory (fake_kernel.c) */
  static async start(folder: string, mode: RingStart, refuses?: string): Promise<LoneQemu> {
    const at = (name: string): string => join(folder, name);
    const ring = Ring.create(at('ring'), {
      ringBytes: RING_BYTES,
      start: mode,
      beatTimeoutMs: 0,
      quiesceMsMax: QUIESCE_MS_MAX,
    });
    const sockets: Socket[] = [];
    // Output goes nowhere, but it must be read: a send of QEMU's is whole.
    const server = createServer((socket) =>
      sockets.push(socket.on('error', () => socket.destroy()).resume()),
    );
    server.listen(at('net'));
    await once(server, 'listening');
    const [program, ...args] = qemuCommand({
      machine: MACHINE,
      mode,
      qemuBinary: 'qemu-system-x86_64',
      paths: {
        qmpSocket: at('qmp'),
        netSocket: at('net'),
        serialFile: at('serial'),
        vncSocket: at('vnc'),
        diskSockets: [],
      },
    });
    const shim = [
      join(ROOT, 'build/native/lockstep-shim.so'),
      ...(refuses === undefined ? [] : [join(ROOT, 'build/native/shim/fake_kernel.so')]),
    ].join(' ');
    const child = spawn(program ?? '', args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        ...process.env,
        ...(refuses === undefined ? {} : { FAKE_KERNEL_REFUSES: refuses }),
        ...shimEnvironment({
          shim,
          ring: at('ring'),
          netSocket: at('net'),
          cloneSocket: at('clone'),
          diskSockets: [],
        }),
      },
    });
    let errors = '';
    child.stderr.on('data', (text: Buffer) => (errors += text.toString()));
    child.once('exit', () => writeFileSync(at('stderr'), errors));
    const qmp = await Qmp.connect(at('qmp'), QMP_CONNECT_MS);
    qmp.on('close', () => undefined);
    return new LoneQemu(ring, qmp, folder, child, server, sockets);
  }

  serial(): string {
    return readFileSync(join(this.folder, 'serial'), 'latin1');
  }

  get hasExited(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  /** As a host dies: nothing is flushed. The ring stays readable. */
  async crash(): Promise<void> {
    if (this.hasExited) return;
    const exit = once(this.process, 'exit');
    this.process.kill('SIGKILL');
    await exit;
  }

  async end(): Promise<void> {
    await this.crash();
    this.qmp.close();
    this.sockets.forEach((socket) => socket.destroy());
    this.server.close();
    if (!this.ring.closed) this.ring.close();
  }
}
