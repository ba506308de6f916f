// SPDX-License-Identifier: Apache-2.0
// Where everything of a local pair is: names, addresses, paths. Nothing here does anything.
import { join, resolve } from 'node:path';
import { LocalError } from './errors.js';

/** The checkout (this file runs as build/cli/local/layout.js). */
export const REPO = resolve(import.meta.dirname, '../../..');

const RUN_ROOT = '/run/lockstep';
const SHM_ROOT = '/dev/shm';
const SUBNET = '10.77.0';
const PREFIX_BITS = 24;

/** A pair's name goes into namespaces, file names, certificates and lease keys; it names its VM too. */
const PAIR_NAME = /^[a-z][a-z0-9]{0,15}$/;
const HOST_NAMES = ['a', 'b', 'c', 'd'] as const;
export const HOSTS_MAX = HOST_NAMES.length;

/** What the test guest listens on (test/guest/guestd.c). */
export const GUEST_PORTS = { redis: 6379, command: 7001 } as const;

export interface HostLayout {
  readonly name: string;
  readonly netns: string;
  readonly ip: string;
  /** Everything of this host; each incarnation has a folder in it. */
  readonly dir: string;
  readonly agentSocket: string;
  readonly agentPid: string;
  readonly agentLog: string;
  /** Ring files begin with this. */
  readonly ringPrefix: string;
}

export interface PairLayout {
  readonly name: string;
  readonly dir: string;
  readonly settings: string;
  readonly desired: string;
  readonly events: string;
  readonly controllerPid: string;
  readonly controllerLog: string;
  readonly controllerSocket: string;
  readonly tlsDir: string;
  readonly bridgeNetns: string;
  readonly client: { readonly netns: string; readonly ip: string };
  readonly store: {
    readonly netns: string;
    readonly ip: string;
    readonly port: number;
    readonly dir: string;
    readonly pid: string;
  };
  readonly guest: { readonly ip: string; readonly mac: string; readonly redisPort: number };
  readonly prefixBits: number;
  readonly hosts: readonly HostLayout[];
  readonly ringPrefix: string;
}

function hostLayout(pair: string, dir: string, name: string, index: number): HostLayout {
  const hostDir = join(dir, `host-${name}`);
  return {
    name,
    netns: `lockstep-${pair}-host-${name}`,
    ip: `${SUBNET}.${11 + index}`,
    dir: hostDir,
    agentSocket: join(hostDir, 'agent.sock'),
    agentPid: join(hostDir, 'agent.pid'),
    agentLog: join(hostDir, 'agent.log'),
    ringPrefix: join(SHM_ROOT, `lockstep-${pair}-host-${name}-`),
  };
}

/**
 * The layout of a pair with `hostCount` hosts.
 * @throws LocalError USAGE for a name or a count that can't be.
 */
export function pairLayout(name: string, hostCount = 2): PairLayout {
  if (!PAIR_NAME.test(name)) {
    throw new LocalError(
      'USAGE',
      `'${name}' is no name for a pair`,
      'Use up to 16 lower-case letters and digits, a letter first.',
    );
  }
  if (!Number.isInteger(hostCount) || hostCount < 2 || hostCount > HOSTS_MAX) {
    throw new LocalError('USAGE', `a pair has 2 to ${HOSTS_MAX} hosts, not ${hostCount}`);
  }
  const dir = join(RUN_ROOT, name);
  return {
    name,
    dir,
    settings: join(dir, 'pair.json'),
    desired: join(dir, 'desired.json'),
    events: join(dir, 'events.jsonl'),
    controllerPid: join(dir, 'controller.pid'),
    controllerLog: join(dir, 'controller.log'),
    controllerSocket: join(dir, 'controller.sock'),
    tlsDir: join(dir, 'tls'),
    bridgeNetns: `lockstep-${name}-bridge`,
    client: { netns: `lockstep-${name}-client`, ip: `${SUBNET}.3` },
    store: {
      netns: `lockstep-${name}-store`,
      ip: `${SUBNET}.2`,
      port: 6379,
      dir: join(dir, 'store'),
      pid: join(dir, 'store', 'redis.pid'),
    },
    guest: { ip: `${SUBNET}.100`, mac: '52:54:00:4c:4b:53', redisPort: GUEST_PORTS.redis },
    prefixBits: PREFIX_BITS,
    hosts: HOST_NAMES.slice(0, hostCount).map((host, index) => hostLayout(name, dir, host, index)),
    ringPrefix: join(SHM_ROOT, `lockstep-${name}-host-`),
  };
}

/** @throws LocalError NO_HOST, naming those that there are. */
export function hostOf(pair: PairLayout, name: string): HostLayout {
  const host = pair.hosts.find((one) => one.name === name);
  if (host === undefined) {
    const names = pair.hosts.map((one) => one.name).join(', ');
    throw new LocalError('NO_HOST', `pair '${pair.name}' has no host '${name}'`, `Its hosts are: ${names}.`);
  }
  return host;
}

/** All network namespaces of a pair. */
export function namespacesOf(pair: PairLayout): string[] {
  return [pair.bridgeNetns, pair.store.netns, pair.client.netns, ...pair.hosts.map((host) => host.netns)];
}

export const netnsFile = (netns: string): string => join('/run/netns', netns);
