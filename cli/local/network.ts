// SPDX-License-Identifier: Apache-2.0
// The pair's network: every station in a network namespace of its own, all on one bridge that stands in a
// namespace too. No link leads to the machine's own network, so no packet can leave it.
import { readdir } from 'node:fs/promises';
import { systemCode } from './errors.js';
import { namespacesOf, netnsFile, type HostLayout, type PairLayout } from './layout.js';
import { run, type RunOptions } from './run.js';

export const HOST_BRIDGE = 'br0';
export const HOST_TAP = 'tap0';

/** One `ip -batch` per namespace: [namespace, lines]. */
type Batch = readonly [netns: string, lines: readonly string[]];

const bridgeLines = (name: string, mac?: string): string[] => [
  `link add ${name} ${mac === undefined ? '' : `address ${mac} `}type bridge mcast_snooping 0`,
  `link set ${name} up`,
];

/** A cable from the pair's bridge to a station's eth0. */
const cable = (station: string, netns: string, pair: PairLayout): Batch => [
  pair.bridgeNetns,
  [`link add to-${station} type veth peer name eth0 netns ${netns}`, `link set to-${station} master br0 up`],
];

const stationLines = (ip: string, prefixBits: number): string[] => [
  'link set lo up',
  `addr add ${ip}/${prefixBits} dev eth0`,
  'link set eth0 up',
];

/** The tap is where the VM is plugged in; joined to the veth, so that the VM's MAC appears behind this host. */
const hostLines = (host: HostLayout, index: number, prefixBits: number): string[] => [
  'link set lo up',
  ...bridgeLines(HOST_BRIDGE, `02:4c:4b:00:00:0${index + 1}`),
  `link set eth0 master ${HOST_BRIDGE} up`,
  `tuntap add ${HOST_TAP} mode tap`,
  `link set ${HOST_TAP} master ${HOST_BRIDGE} up`,
  `addr add ${host.ip}/${prefixBits} dev ${HOST_BRIDGE}`,
];

/** Everything to be done, in order; pure, so that it can be looked at. */
export function networkBatches(pair: PairLayout): Batch[] {
  return [
    [pair.bridgeNetns, bridgeLines('br0')],
    cable('store', pair.store.netns, pair),
    cable('client', pair.client.netns, pair),
    ...pair.hosts.map((host) => cable(`host-${host.name}`, host.netns, pair)),
    [pair.store.netns, stationLines(pair.store.ip, pair.prefixBits)],
    [pair.client.netns, stationLines(pair.client.ip, pair.prefixBits)],
    ...pair.hosts.map((host, index): Batch => [host.netns, hostLines(host, index, pair.prefixBits)]),
  ];
}

async function addNamespace(netns: string): Promise<void> {
  await run('ip', ['netns', 'add', netns]);
  await inNetns(netns, 'sysctl', [
    '-qw',
    'net.ipv6.conf.all.disable_ipv6=1',
    'net.ipv6.conf.default.disable_ipv6=1',
  ]);
}

/** Runs a program in a network namespace of the pair, to its end. */
export function inNetns(
  netns: string,
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  return run('nsenter', [`--net=${netnsFile(netns)}`, '--', file, ...args], options);
}

/** Makes the pair's network. None of its namespaces may exist. */
export async function makeNetwork(pair: PairLayout): Promise<void> {
  for (const netns of namespacesOf(pair)) await addNamespace(netns);
  for (const [netns, lines] of networkBatches(pair)) {
    await inNetns(netns, 'ip', ['-batch', '-'], { input: lines.join('\n') + '\n' });
  }
}

/** Those of the pair's namespaces that exist, whoever made them; also of a pair with other hosts than now. */
export async function existingNamespaces(pair: PairLayout): Promise<string[]> {
  const ours = new RegExp(`^lockstep-${pair.name}-(bridge|store|client|host-[a-z])$`);
  try {
    return (await readdir('/run/netns')).filter((name) => ours.test(name));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Pids (of this machine) of whatever runs in a namespace. */
export async function pidsIn(netns: string): Promise<number[]> {
  const words = (await run('ip', ['netns', 'pids', netns])).split('\n').filter((word) => word !== '');
  return words.map(Number);
}

export async function removeNamespace(netns: string): Promise<void> {
  await run('ip', ['netns', 'delete', netns]);
}

/**
 * Drops what `from` sends to `to` (one way), on `from`'s own stack: a cut that only these two notice.
 * Made for tests and measurements; `healLinks` undoes all cuts of a host.
 */
export async function cutLink(from: HostLayout, toIp: string): Promise<void> {
  const rules = [
    'add table inet lockstep',
    'add chain inet lockstep cut { type filter hook output priority 0; }',
    `add rule inet lockstep cut ip daddr ${toIp} drop`,
  ];
  await inNetns(from.netns, 'nft', [rules.join('; ')]);
}

export async function healLinks(host: HostLayout): Promise<void> {
  await inNetns(host.netns, 'nft', ['add table inet lockstep; delete table inet lockstep']);
}

/** Pulls or plugs the host's network cable. */
export async function setCable(pair: PairLayout, host: HostLayout, plugged: boolean): Promise<void> {
  const state = plugged ? 'up' : 'down';
  await inNetns(pair.bridgeNetns, 'ip', ['link', 'set', `to-host-${host.name}`, state]);
}
