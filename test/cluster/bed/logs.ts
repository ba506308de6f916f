// SPDX-License-Identifier: Apache-2.0
// Keeps what a failed test needs: all nodes' journals, all pods' logs, what the API server knows, events.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../../cli/local/errors.js';
import { kubectl } from './kubectl.js';
import { BIN, CLUSTER } from './settings.js';
import { ask } from './command.js';

const EXPORT_TIMEOUT_MS = 120_000;
const OBJECTS_TIMEOUT_MS = 60_000;

/** Kinds whose objects are kept whole. A kind that the cluster does not have is told in errors.txt. */
const KINDS = [
  'nodes',
  'pods',
  'services',
  'deployments.apps',
  'daemonsets.apps',
  'statefulsets.apps',
  'jobs.batch',
  'leases.coordination.k8s.io',
  'mutatingwebhookconfigurations',
  'validatingwebhookconfigurations',
  'kubevirts.kubevirt.io',
  'virtualmachineinstances.kubevirt.io',
  'network-attachment-definitions.k8s.cni.cncf.io',
  'faulttolerantvms.lockstep.dev',
] as const;

/** Kubernetes' own pods: their logs come with the nodes'. */
const LEFT_TO_NODES: readonly string[] = ['kube-system', 'local-path-storage'];

/** Whether kind complains about nothing but a program that it wants on a node and that these have no need of. Pure. */
export function onlyMissesCrictl(words: string): boolean {
  const complaints = words.match(/failed with error/g)?.length ?? 0;
  return complaints > 0 && complaints === (words.match(/crictl images" failed with error/g)?.length ?? 0);
}

export interface PodContainers {
  readonly namespace: string;
  readonly pod: string;
  readonly containers: readonly string[];
}

/** Reads lines of NAMESPACE POD CONTAINER CONTAINER... Pure. */
export function readPodContainers(listed: string): PodContainers[] {
  return listed.split('\n').flatMap((line) => {
    const [namespace, pod, ...containers] = line.trim().split(/\s+/);
    return namespace === undefined || pod === undefined || namespace === ''
      ? []
      : [{ namespace, pod, containers }];
  });
}

const POD_CONTAINERS =
  '{range .items[*]}{.metadata.namespace} {.metadata.name} {.spec.initContainers[*].name} {.spec.containers[*].name}{"\\n"}{end}';

/** Everything that can be had, below `folder`. What could not be had is told in errors.txt there. */
export async function keepLogs(folder: string): Promise<void> {
  await mkdir(join(folder, 'pods'), { recursive: true });
  await mkdir(join(folder, 'objects'), { recursive: true });
  const failures: string[] = [];
  const attempt = async (what: string, work: () => Promise<void>) => {
    await work().catch((error: unknown) => failures.push(`${what}: ${messageOf(error)}`));
  };
  const keep = (file: string, args: readonly string[]) =>
    attempt(file, async () => {
      await writeFile(join(folder, file), await kubectl(args, { timeoutMs: OBJECTS_TIMEOUT_MS }));
    });
  await keep('pods.txt', ['get', 'pods', '--all-namespaces', '--output=wide']);
  await keep('events.txt', [
    'get',
    'events',
    '--all-namespaces',
    '--sort-by=.lastTimestamp',
    '--output=wide',
  ]);
  for (const kind of KINDS)
    await keep(join('objects', `${kind}.yaml`), ['get', kind, '--all-namespaces', '-o', 'yaml']);
  await attempt('pods', async () => {
    const listed = await kubectl(['get', 'pods', '--all-namespaces', '-o', `jsonpath=${POD_CONTAINERS}`]);
    for (const { namespace, pod, containers } of readPodContainers(listed)) {
      if (LEFT_TO_NODES.includes(namespace)) continue;
      for (const container of containers) {
        const file = join('pods', `${namespace}_${pod}_${container}.log`);
        await keep(file, ['logs', '--namespace', namespace, pod, '--container', container, '--timestamps']);
      }
    }
  });
  await attempt('nodes', async () => {
    const nodes = ['export', 'logs', join(folder, 'nodes'), '--name', CLUSTER];
    await ask(join(BIN, 'kind'), nodes, { timeoutMs: EXPORT_TIMEOUT_MS }).catch((error: unknown) => {
      if (!onlyMissesCrictl(messageOf(error))) throw error;
    });
  });
  if (failures.length > 0) await writeFile(join(folder, 'errors.txt'), `${failures.join('\n')}\n`);
}
