// SPDX-License-Identifier: Apache-2.0
// What tests do to nodes: kill, freeze, pull cables, keep two apart, end a process. Each has its way back.
import { LocalError } from '../../../cli/local/errors.js';
import { ask, onNode, podman } from './command.js';
import { kubectl } from './kubectl.js';

const NODE_TIMEOUT_MS = 60_000;
/** The interface to the cluster's own network, and the one to the second network that VMs are on. */
export type Cable = 'eth0' | 'eth1';
export const CABLES: readonly Cable[] = ['eth0', 'eth1'];

/** Power off: everything on the node is gone at once. */
export async function killNode(node: string): Promise<void> {
  await podman(['kill', node], { timeoutMs: NODE_TIMEOUT_MS });
}

/** Power on. The node may have another address than before. */
export async function startNode(node: string): Promise<void> {
  await podman(['start', node], { timeoutMs: NODE_TIMEOUT_MS });
}

/** Freezes every process of the node. */
export async function pauseNode(node: string): Promise<void> {
  await podman(['pause', node]);
}

export async function unpauseNode(node: string): Promise<void> {
  await podman(['unpause', node]);
}

/** The host's end of a node's cable: `ip -o link` names it by the index that the node's end tells. Pure. */
export function hostEnd(links: string, index: string): string | undefined {
  const line = links.split('\n').find((one) => one.startsWith(`${index}: `));
  return line === undefined ? undefined : /^\d+: ([^:@]+)/.exec(line)?.[1];
}

/** The switch's end of a node's cable, on this machine. */
export async function portOf(node: string, cable: Cable): Promise<string> {
  const index = (await onNode(node, ['cat', `/sys/class/net/${cable}/iflink`])).trim();
  const name = hostEnd(await ask('ip', ['-o', 'link']), index);
  if (name === undefined)
    throw new LocalError('STATE', `${node}: the other end of ${cable} is not on this machine`);
  return name;
}

async function setCables(node: string, state: 'up' | 'down', cables: readonly Cable[]): Promise<void> {
  for (const cable of cables) await ask('ip', ['link', 'set', await portOf(node, cable), state]);
}

/** Pulls a node's cables, at the switch: addresses and routes of the node stay. */
export const cutNode = (node: string, cables: readonly Cable[] = CABLES): Promise<void> =>
  setCables(node, 'down', cables);

export const healNode = (node: string, cables: readonly Cable[] = CABLES): Promise<void> =>
  setCables(node, 'up', cables);

const BLOCK_TABLE = 'lockstep_fault';

/** nft's words that drop all to and from `ranges` on the node where they are read, pods' packets included. Pure. */
export function blockRules(ranges: readonly string[]): string {
  const set = `{ ${ranges.join(', ')} }`;
  return [
    `table ip ${BLOCK_TABLE} {`,
    `  chain arriving { type filter hook prerouting priority raw; ip saddr ${set} drop; }`,
    `  chain leaving { type filter hook postrouting priority raw; ip daddr ${set} drop; }`,
    '}',
  ].join('\n');
}

/** Keeps a node and its pods apart from addresses or ranges. One block per node: a second replaces the first. */
export async function block(node: string, ranges: readonly string[]): Promise<void> {
  await unblock(node);
  await onNode(node, ['nft', '-f', '-'], { input: blockRules(ranges) });
}

export async function unblock(node: string): Promise<void> {
  // An empty one first: deleting what is not there is an error.
  await onNode(node, ['nft', '-f', '-'], {
    input: `table ip ${BLOCK_TABLE} {}\ndelete table ip ${BLOCK_TABLE}\n`,
  });
}

/** A node's own address and the range of its pods. */
export async function rangesOf(node: string): Promise<string[]> {
  const path = '{.status.addresses[?(@.type=="InternalIP")].address} {.spec.podCIDR}';
  const said = await kubectl(['get', 'node', node, '-o', `jsonpath=${path}`]);
  return said.split(' ').filter((range) => range !== '');
}

/** Neither node nor their pods hear each other any more; both hear everybody else. */
export async function partition(nodeA: string, nodeB: string): Promise<void> {
  const [ofA, ofB] = await Promise.all([rangesOf(nodeA), rangesOf(nodeB)]);
  await Promise.all([block(nodeA, ofB), block(nodeB, ofA)]);
}

export async function healPartition(nodeA: string, nodeB: string): Promise<void> {
  await Promise.all([unblock(nodeA), unblock(nodeB)]);
}

export interface NodeProcess {
  /** On the node, in its own process namespace. */
  readonly pid: number;
  /** UID of the pod that it belongs to, or null. */
  readonly podUid: string | null;
  readonly argv: readonly string[];
}

/** Prints per process: pid, tab, its control group, tab, its arguments with a unit separator between them. */
const LIST_PROCESSES = [
  'for p in /proc/[0-9]*; do',
  '  a=$(tr "\\0" "\\037" <"$p/cmdline" 2>/dev/null) || continue;',
  '  [ -n "$a" ] || continue;',
  '  g=$(sed -n "s/^[0-9]*:memory://p" "$p/cgroup" 2>/dev/null) || continue;',
  '  printf "%s\\t%s\\t%s\\n" "${p#/proc/}" "$g" "$a";',
  'done',
].join('\n');

/** Reads what LIST_PROCESSES printed. Pure. */
export function readProcesses(listed: string): NodeProcess[] {
  return listed.split('\n').flatMap((line) => {
    const [pid, group, words] = line.split('\t');
    if (pid === undefined || group === undefined || words === undefined) return [];
    const uid = /pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})/.exec(group)?.[1];
    const argv = words.split('\u001f');
    if (argv.at(-1) === '') argv.pop();
    return [{ pid: Number(pid), podUid: uid?.replaceAll('_', '-') ?? null, argv }];
  });
}

export async function nodeProcesses(node: string): Promise<NodeProcess[]> {
  return readProcesses(await onNode(node, ['bash', '-c', LIST_PROCESSES], { outputBytesMax: 8 << 20 }));
}

/** Of a pod's processes, those whose argument list `isWanted` accepts. */
export async function podProcesses(
  node: string,
  podUid: string,
  isWanted: (argv: readonly string[]) => boolean,
): Promise<NodeProcess[]> {
  const all = await nodeProcesses(node);
  return all.filter((one) => one.podUid === podUid && isWanted(one.argv));
}

export async function signalProcess(node: string, pid: number, signal: string): Promise<void> {
  await onNode(node, ['kill', '-s', signal, String(pid)]);
}
