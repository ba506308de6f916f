// SPDX-License-Identifier: Apache-2.0
// The cluster's life: made by kind, taken down until nothing is left, and what of it there is.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { LocalError, messageOf } from '../../../cli/local/errors.js';
import { ask, podman, runLong } from './command.js';
import { kubectl } from './kubectl.js';
import { tell } from './progress.js';
import { BIN, CLUSTER, CONTROL_PLANE, KIND_CONFIG, KUBECONFIG, NODE_NAMES, STATE } from './settings.js';

const CREATE_TIMEOUT_MS = 5 * 60_000;
const DELETE_TIMEOUT_MS = 2 * 60_000;
const READY_TIMEOUT_S = 120;
/** After an unclean end podman believes that dead nodes run: the first removal fails, the second works. */
const DELETE_TRIES_MAX = 4;
const LABEL = `io.x-k8s.kind.cluster=${CLUSTER}`;

export interface NodeContainer {
  readonly name: string;
  /** podman's word: running, exited, paused, ... */
  readonly state: string;
  readonly image: string;
}

interface Listed {
  readonly Names: readonly string[];
  readonly State: string;
  readonly Image: string;
}

/** Reads podman's list in JSON; in its own formats the state is told in other words. Pure. */
export function readContainers(listed: string): NodeContainer[] {
  const containers = JSON.parse(listed) as readonly Listed[];
  return containers.map(({ Names, State, Image }) => ({ name: Names[0] ?? '', state: State, image: Image }));
}

export async function nodeContainers(): Promise<NodeContainer[]> {
  return readContainers(await podman(['ps', '--all', '--filter', `label=${LABEL}`, '--format', 'json']));
}

const kind = (args: readonly string[], timeoutMs: number): Promise<string> =>
  ask(join(BIN, 'kind'), args, { timeoutMs });

/** kind labels a node's volume with the node's name. */
async function removeVolumes(): Promise<void> {
  for (const node of NODE_NAMES) {
    const listed = await podman(['volume', 'ls', '--quiet', '--filter', `label=${node}`]);
    const volumes = listed.split('\n').filter((volume) => volume !== '');
    if (volumes.length > 0) await podman(['volume', 'rm', '--force', ...volumes]);
  }
}

/** Removes all nodes, as often as it takes, and their volumes. */
export async function deleteCluster(): Promise<void> {
  let last: unknown;
  for (let tries = 0; tries < DELETE_TRIES_MAX; tries++) {
    const nodes = await nodeContainers();
    if (nodes.length === 0) {
      await removeVolumes();
      return;
    }
    // systemd does not stop in the time that podman gives it: end the nodes, don't wait for them.
    const names = nodes.map((node) => node.name);
    await podman(['rm', '--force', '--volumes', '--time', '0', ...names], {
      timeoutMs: DELETE_TIMEOUT_MS,
    }).catch((error: unknown) => (last = error));
  }
  throw new LocalError(
    'COMMAND_FAILED',
    `the cluster's nodes can't be removed: ${messageOf(last)}`,
    "Look at 'podman ps --all'.",
    { cause: last },
  );
}

/** What it takes until all nodes run: per node a verb of podman; null when only a new cluster will do. Pure. */
export function revival(
  nodes: readonly NodeContainer[],
  image: string,
): readonly (readonly [string, string])[] | null {
  const verbs: [string, string][] = [];
  if (nodes.length !== NODE_NAMES.length) return null;
  for (const name of NODE_NAMES) {
    const node = nodes.find((one) => one.name === name);
    if (node?.image !== image) return null;
    if (node.state === 'paused') verbs.push(['unpause', name]);
    else if (node.state === 'exited' && name !== CONTROL_PLANE) verbs.push(['start', name]);
    else if (node.state !== 'running') return null; // its certificates and manifests have its old address
  }
  return verbs;
}

/** Whether all nodes run on `image`, or do after those that a test took away were brought back, and the API server answers. */
export async function isUp(image: string): Promise<boolean> {
  const verbs = revival(await nodeContainers(), image);
  if (verbs === null) return false;
  try {
    for (const [verb, node] of verbs) {
      tell(`${node}: ${verb}`);
      await podman([verb, node]);
    }
    await writeKubeconfig();
    await kubectl(['get', '--raw', '/readyz']);
    return true;
  } catch (error) {
    tell(`the cluster that is there can't be used: ${messageOf(error)}`);
    return false;
  }
}

export async function writeKubeconfig(): Promise<void> {
  await mkdir(STATE, { recursive: true });
  await kind(['export', 'kubeconfig', '--name', CLUSTER, '--kubeconfig', KUBECONFIG], 20_000);
}

export async function createCluster(image: string): Promise<void> {
  await mkdir(STATE, { recursive: true });
  // --retain: a failed start leaves its nodes, for their logs.
  const options = ['--name', CLUSTER, '--config', KIND_CONFIG, '--kubeconfig', KUBECONFIG, '--retain'];
  await runLong(join(BIN, 'kind'), ['create', 'cluster', '--image', image, ...options], {
    timeoutMs: CREATE_TIMEOUT_MS,
    log: 'kind',
  });
  await nodesReady();
}

export async function nodesReady(): Promise<void> {
  await kubectl(['wait', '--for=condition=Ready', 'nodes', '--all', `--timeout=${READY_TIMEOUT_S}s`], {
    timeoutMs: (READY_TIMEOUT_S + 10) * 1000,
  });
}
