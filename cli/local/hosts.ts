// SPDX-License-Identifier: Apache-2.0
// A host's power: on (its agent, as pid 1 of a pid namespace, in the host's network namespace) and off.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { agentStatus } from './agent-api.js';
import { LocalError, messageOf } from './errors.js';
import { appendEvent } from './events.js';
import { healLinks } from './network.js';
import { REPO, type HostLayout, type PairLayout } from './layout.js';
import { runningFrom, signal, startDetached, waitGone } from './processes.js';

const AGENT = join(REPO, 'build/cli/local/agent.js');
const BOOT_MS_MAX = 20_000;
const POWER_OFF_MS_MAX = 5000;
const POLL_MS = 20;

export async function hasPower(host: HostLayout): Promise<boolean> {
  return (await runningFrom(host.agentPid)) !== undefined;
}

/** Switches a host on, and returns when its agent answers. */
export async function bootHost(pair: PairLayout, host: HostLayout): Promise<void> {
  if (await hasPower(host)) return;
  await mkdir(host.dir, { recursive: true });
  await rm(host.agentSocket, { force: true });
  await healLinks(host);
  const command = [process.execPath, '--enable-source-maps', AGENT, pair.name, host.name];
  startDetached(command, { netns: host.netns, ownPids: true }, host.agentLog);
  await answered(host);
  appendEvent(pair.events, 'HostUp', host.name, '');
}

async function answered(host: HostLayout): Promise<void> {
  const deadline = performance.now() + BOOT_MS_MAX;
  let why: unknown;
  while (performance.now() < deadline) {
    try {
      await agentStatus(host);
      return;
    } catch (error) {
      why = error;
    }
    await sleep(POLL_MS);
  }
  throw new LocalError(
    'START_FAILED',
    `host ${host.name} does not come up: ${messageOf(why)}`,
    `Its log is ${host.agentLog}.`,
  );
}

/**
 * Cuts a host's power: SIGKILL to its pid 1, whereupon the kernel kills all that runs on it.
 * @throws LocalError HOST_DOWN when it has no power.
 */
export async function cutPower(pair: PairLayout, host: HostLayout): Promise<void> {
  const id = await runningFrom(host.agentPid);
  if (id === undefined || !(await signal(id, 'SIGKILL'))) {
    throw new LocalError('HOST_DOWN', `host ${host.name} has no power already`);
  }
  appendEvent(pair.events, 'HostKilled', host.name, 'SIGKILL to everything on it');
  if (!(await waitGone(id, POWER_OFF_MS_MAX))) {
    throw new LocalError('TIMEOUT', `host ${host.name} does not die`);
  }
}
