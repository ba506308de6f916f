// SPDX-License-Identifier: Apache-2.0
// What a guest sends, seen at the switch of the second network: which node each of its packets came from, and when.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { portOf } from '../../bed/faults.js';

export interface Sent {
  readonly node: string;
  /** Unix time, µs: of one clock, that of the machine which all nodes are on. */
  readonly atUs: number;
}

/** A line of `tcpdump -tt -n`: seconds with six digits first. Pure. */
export function timeOf(line: string): number | null {
  const match = /^(\d+)\.(\d{6}) /.exec(line);
  return match === null ? null : Number(match[1]) * 1e6 + Number(match[2]);
}

/** Times of each node's first and last packet, in the order of the first ones. Pure. */
export function spans(sent: readonly Sent[]): { node: string; firstUs: number; lastUs: number }[] {
  const byNode = new Map<string, { node: string; firstUs: number; lastUs: number }>();
  for (const { node, atUs } of sent) {
    const span = byNode.get(node) ?? { node, firstUs: atUs, lastUs: atUs };
    byNode.set(node, { node, firstUs: Math.min(span.firstUs, atUs), lastUs: Math.max(span.lastUs, atUs) });
  }
  return [...byNode.values()].sort((a, b) => a.firstUs - b.firstUs);
}

/** Listens at each node's port of the switch, for all that has the guest's address as its source. */
export class Wire {
  readonly sent: Sent[] = [];
  readonly #listeners: ChildProcess[] = [];

  async listen(nodes: readonly string[], guestIp: string): Promise<void> {
    for (const node of nodes) {
      const filter = `(ip and src host ${guestIp}) or (arp and arp src host ${guestIp})`;
      const options = ['-i', await portOf(node, 'eth1'), '-Q', 'in', '-tt', '-n', '-l', '-U', filter];
      const listener = spawn('tcpdump', options, { stdio: ['ignore', 'pipe', 'pipe'] });
      this.#listeners.push(listener);
      createInterface({ input: listener.stdout }).on('line', (line) => {
        const atUs = timeOf(line);
        if (atUs !== null) this.sent.push({ node, atUs });
      });
      // Its first words tell that it listens.
      await once(createInterface({ input: listener.stderr }), 'line');
    }
  }

  async close(): Promise<void> {
    for (const listener of this.#listeners.splice(0)) {
      if (listener.exitCode !== null) continue;
      listener.kill('SIGINT');
      await once(listener, 'close');
    }
  }
}
