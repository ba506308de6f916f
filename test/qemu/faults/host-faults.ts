// SPDX-License-Identifier: Apache-2.0
// What can befall a host: it stands still, or it is cut off.
import { readdir, readlink } from 'node:fs/promises';
import { systemCode } from '../../../cli/local/errors.js';
import type { HostLayout, PairLayout } from '../../../cli/local/layout.js';
import { cutLink, healLinks, setCable } from '../../../cli/local/network.js';
import { runningFrom } from '../../../cli/local/processes.js';

async function pidNamespace(pid: number | string): Promise<string | undefined> {
  try {
    return await readlink(`/proc/${pid}/ns/pid`);
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes(systemCode(error) ?? '')) return undefined; // it has ended
    throw error;
  }
}

/** All that runs on a host: whatever shares its agent's pid namespace. Pids as the machine sees them. */
export async function pidsOnHost(host: HostLayout): Promise<number[]> {
  const agent = await runningFrom(host.agentPid);
  const namespace = agent === undefined ? undefined : await pidNamespace(agent.pid);
  if (namespace === undefined) throw new Error(`host ${host.name} has no power`);
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => ((await pidNamespace(pid)) === namespace ? Number(pid) : 0)),
  );
  return found.filter((pid) => pid !== 0);
}

/** One signal to several processes, as close together as can be. One that has ended is passed over. */
export function signalAll(pids: readonly number[], name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if (systemCode(error) !== 'ESRCH') throw error;
    }
  }
}

/** Processes that stand still until `thaw`. */
export class Frozen {
  private constructor(private readonly pids: readonly number[]) {}

  static processes(pids: readonly number[]): Frozen {
    signalAll(pids, 'SIGSTOP');
    return new Frozen(pids);
  }

  /** Agent, sidecar and QEMU. */
  static async host(host: HostLayout): Promise<Frozen> {
    return Frozen.processes(await pidsOnHost(host));
  }

  /** Several hosts, at the same moment. */
  static async hosts(hosts: readonly HostLayout[]): Promise<Frozen[]> {
    const each = await Promise.all(hosts.map(pidsOnHost));
    return each.map((pids) => Frozen.processes(pids));
  }

  /** Twice is fine. */
  thaw(): void {
    signalAll(this.pids, 'SIGCONT');
  }
}

export type Direction = 'out' | 'in' | 'both';

/** Drops what goes between two hosts, seen from the first. Their way to the lease store stays. */
export async function cutBetween(host: HostLayout, other: HostLayout, direction: Direction): Promise<void> {
  if (direction !== 'in') await cutLink(host, other.ip);
  if (direction !== 'out') await cutLink(other, host.ip);
}

/** Undoes every cut, and plugs every cable. */
export async function healNetwork(pair: PairLayout): Promise<void> {
  for (const host of pair.hosts) {
    await healLinks(host);
    await setCable(pair, host, true);
  }
}

/** Pulls the host's cable: it reaches neither peer nor lease store nor clients. */
export const cutOff = (pair: PairLayout, host: HostLayout): Promise<void> => setCable(pair, host, false);
