// SPDX-License-Identifier: Apache-2.0
// A stand-in for the operator: watches sidecars and gives them orders, from inside the pair's network.
import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { join } from 'node:path';
import { placed } from '../../../cli/local/processes.js';
import type { ChannelTls } from '../../../sidecar/io/channel/tls.js';
import type { Command } from '../../../sidecar/kubevirt/client.js';
import type { VmiStatus } from '../../../sidecar/observe/status-schema.js';
import type { News, Order, Target } from './operator-messages.js';

const PROGRAM = join(import.meta.dirname, 'operator-program.js');

export class OperatorStandIn {
  private readonly process: ChildProcess;
  private readonly news = new EventEmitter<{ status: [name: string, status: VmiStatus] }>();
  private readonly last = new Map<string, VmiStatus>();
  private readonly waiting = new Map<number, (error: string | null) => void>();
  private orders = 0;

  constructor(netns: string, keys: ChannelTls) {
    const [file = '', ...args] = placed([process.execPath, PROGRAM], { netns });
    this.process = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.process.on('message', (news: News) => {
      this.hear(news);
    });
    this.send({ verb: 'keys', keys });
  }

  watch(target: Target): void {
    this.send({ verb: 'watch', target });
  }

  /** @throws with the sidecar's words when it refuses */
  async command(target: Target, command: Command): Promise<void> {
    this.orders += 1;
    const id = this.orders;
    const done = new Promise<string | null>((resolve) => this.waiting.set(id, resolve));
    this.send({ verb: 'command', id, target, command });
    const error = await done;
    if (error !== null) throw new Error(error);
  }

  /** What a sidecar said last, or says next, that is such. @throws with the last, if that does not come */
  async until(
    what: string,
    { name }: Target,
    timeoutMs: number,
    holds: (status: VmiStatus) => boolean,
  ): Promise<VmiStatus> {
    const signal = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const status = this.last.get(name);
      if (status !== undefined && holds(status)) return status;
      try {
        await once(this.news, 'status', { signal });
      } catch (error) {
        const said = JSON.stringify({ ...this.last.get(name), journal: undefined });
        throw new Error(`${name} ${what}: not within ${timeoutMs / 1000} s, last: ${said}`, { cause: error });
      }
    }
  }

  async end(): Promise<void> {
    if (this.process.exitCode !== null) return;
    this.process.disconnect();
    await once(this.process, 'exit');
  }

  private send(order: Order): void {
    this.process.send(order);
  }

  private hear(news: News): void {
    if (news.kind === 'status') {
      this.last.set(news.name, news.status);
      this.news.emit('status', news.name, news.status);
    } else {
      this.waiting.get(news.id)?.(news.error);
      this.waiting.delete(news.id);
    }
  }
}
