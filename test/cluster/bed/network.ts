// SPDX-License-Identifier: Apache-2.0
// The second network: a switch of its own, a cable from it to each worker, and places on it for clients.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LocalError } from '../../../cli/local/errors.js';
import { ask, podman } from './command.js';
import { apply, kubectl } from './kubectl.js';
import { MANIFESTS, WORKER_NAMES } from './settings.js';

export const L2_NETWORK = 'lockstep-l2';
/** Addresses are free to use above .99: podman gives the nodes low ones, which the nodes throw away. */
export const L2_SUBNET = '10.99.0.0/24';
/** All namespaces made here bear it: down removes them by it. */
const CLIENT_PREFIX = 'lockstep-l2-';
/** Of a Linux interface's name. */
const INTERFACE_NAME_MAX = 15;

const exists = (network: string): Promise<boolean> =>
  podman(['network', 'exists', network]).then(
    () => true,
    () => false,
  );

/** Names of the containers that a network has, from podman's inspection of the container. Pure. */
export function networksOf(inspected: string): string[] {
  const networks: unknown = JSON.parse(inspected);
  return typeof networks === 'object' && networks !== null ? Object.keys(networks) : [];
}

/** Makes the network and connects each worker that is not connected. A node's own service does the rest. */
export async function connectWorkers(): Promise<void> {
  if (!(await exists(L2_NETWORK))) {
    await podman(['network', 'create', '--internal', '--disable-dns', '--subnet', L2_SUBNET, L2_NETWORK]);
  }
  for (const worker of WORKER_NAMES) {
    const inspected = await podman(['inspect', '--format', '{{json .NetworkSettings.Networks}}', worker]);
    if (!networksOf(inspected).includes(L2_NETWORK)) {
      await podman(['network', 'connect', L2_NETWORK, worker]);
    }
  }
}

/** Multus' resource and the network's definition. */
export async function deployNetwork(): Promise<void> {
  await apply(await readFile(join(MANIFESTS, 'network.yaml'), 'utf8'));
  const crd = 'crd/network-attachment-definitions.k8s.cni.cncf.io';
  await kubectl(['wait', '--for=condition=Established', crd, '--timeout=30s']);
  await apply(await readFile(join(MANIFESTS, 'l2.yaml'), 'utf8'));
}

/** The bridge on this machine that is the network's switch. */
export async function l2Bridge(): Promise<string> {
  const inspected = await podman(['network', 'inspect', L2_NETWORK]);
  const [network] = JSON.parse(inspected) as readonly { readonly network_interface?: string }[];
  if (network?.network_interface === undefined) {
    throw new LocalError('COMMAND_FAILED', `podman tells no interface of network ${L2_NETWORK}`);
  }
  return network.network_interface;
}

export interface Client {
  /** Name of the network namespace: `ip netns exec NAME ...`. */
  readonly namespace: string;
  /** Its interface on the network. */
  readonly interface: string;
}

/** Pure. */
export function clientOf(name: string): Client {
  return { namespace: `${CLIENT_PREFIX}${name}`, interface: 'eth0' };
}

/** Whether a link is in what `ip -o link` lists. Pure. */
export const hasLink = (listed: string, name: string): boolean =>
  listed.split('\n').some((line) => /^\d+: ([^:@]+)/.exec(line)?.[1] === name);

const portOf = (name: string): string => `l2-${name}`.slice(0, INTERFACE_NAME_MAX);

/**
 * Puts a network namespace on this machine on the second network: a client outside of all nodes.
 * @param address with prefix length, in L2_SUBNET: `10.99.0.200/24`
 */
export async function attachClient(name: string, address: string): Promise<Client> {
  const client = clientOf(name);
  await detachClient(name);
  await ask('ip', ['netns', 'add', client.namespace]);
  const port = portOf(name);
  await ask('ip', [
    'link',
    'add',
    port,
    'type',
    'veth',
    'peer',
    'name',
    client.interface,
    'netns',
    client.namespace,
  ]);
  await ask('ip', ['link', 'set', port, 'master', await l2Bridge(), 'up']);
  const inside = ['-n', client.namespace];
  await ask('ip', [...inside, 'addr', 'add', address, 'dev', client.interface]);
  await ask('ip', [...inside, 'link', 'set', 'lo', 'up']);
  await ask('ip', [...inside, 'link', 'set', client.interface, 'up']);
  return client;
}

/**
 * Gives a node's own network a name on this machine, for a client inside the cluster: Services have their addresses
 * there. @returns the namespace's name
 */
export async function nameNetworkOf(node: string): Promise<string> {
  const { namespace } = clientOf(node);
  await detachClient(node);
  const pid = await podman(['inspect', '--format', '{{.State.Pid}}', node]);
  await ask('ip', ['netns', 'attach', namespace, pid.trim()]);
  return namespace;
}

/** Namespaces in `ip netns list` that attachClient made. Pure. */
export function clientNames(listed: string): string[] {
  return listed.split('\n').flatMap((line) => {
    const name = line.split(' ')[0] ?? '';
    return name.startsWith(CLIENT_PREFIX) ? [name.slice(CLIENT_PREFIX.length)] : [];
  });
}

export async function detachClient(name: string): Promise<void> {
  const { namespace } = clientOf(name);
  // The namespace goes with its last process, its end of the cable with it: the name of this end is wanted again at once.
  if (hasLink(await ask('ip', ['-o', 'link']), portOf(name))) await ask('ip', ['link', 'del', portOf(name)]);
  if (!clientNames(await ask('ip', ['netns', 'list'])).includes(name)) return;
  await ask('ip', ['netns', 'del', namespace]);
}

/** Removes what attachClient made, and the network. Nodes must be gone. */
export async function removeNetwork(): Promise<void> {
  for (const name of clientNames(await ask('ip', ['netns', 'list']))) await detachClient(name);
  if (await exists(L2_NETWORK)) await podman(['network', 'rm', '--force', L2_NETWORK]);
}
