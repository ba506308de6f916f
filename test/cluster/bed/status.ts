// SPDX-License-Identifier: Apache-2.0
// What runs, in words.
import { access } from 'node:fs/promises';
import { messageOf } from '../../../cli/local/errors.js';
import { nodeContainers, type NodeContainer } from './kind.js';
import { kubectl } from './kubectl.js';
import { clientNames } from './network.js';
import { CACHE, KUBECONFIG, NODE_NAMES } from './settings.js';
import { ask } from './command.js';

/** The line about nodes. Pure. */
export function nodesInWords(nodes: readonly NodeContainer[]): string {
  if (nodes.length === 0) return 'no cluster is up';
  const running = nodes.filter((node) => node.state === 'running').length;
  const others = nodes
    .filter((node) => node.state !== 'running')
    .map((node) => `${node.name} is ${node.state}`);
  const missing = NODE_NAMES.filter((name) => !nodes.some((node) => node.name === name)).map(
    (name) => `${name} is missing`,
  );
  const rest = [...others, ...missing];
  return `${running} of ${NODE_NAMES.length} nodes run${rest.length === 0 ? '' : `; ${rest.join(', ')}`}`;
}

async function answer(what: string, ask: () => Promise<string>): Promise<string> {
  return ask().then(
    (words) => `${what}: ${words.trim()}`,
    (error: unknown) => `${what}: no answer (${messageOf(error).split('\n')[0] ?? ''})`,
  );
}

export async function statusLines(): Promise<string[]> {
  const nodes = await nodeContainers();
  const lines = [nodesInWords(nodes)];
  if (nodes.length === 0) return lines;
  const available = '{.status.phase}, Available {.status.conditions[?(@.type=="Available")].status}';
  const ready = '{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}; {end}';
  lines.push(
    await answer('API server', () => kubectl(['get', '--raw', '/readyz'])),
    await answer('nodes Ready', () => kubectl(['get', 'nodes', '-o', `jsonpath=${ready}`])),
    await answer('KubeVirt', () =>
      kubectl(['get', 'kubevirt', 'kubevirt', '--namespace', 'kubevirt', '-o', `jsonpath=${available}`]),
    ),
  );
  const clients = clientNames(await ask('ip', ['netns', 'list']));
  lines.push(`clients on the second network: ${clients.length === 0 ? 'none' : clients.join(', ')}`);
  lines.push(
    `kubeconfig: ${KUBECONFIG}${await access(KUBECONFIG).then(
      () => '',
      () => " (not written from this checkout: 'up' does)",
    )}`,
  );
  lines.push(`cache: ${CACHE}`);
  return lines;
}
