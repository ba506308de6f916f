// SPDX-License-Identifier: Apache-2.0
// The operator's pods, and what is done to them.
import { podProcesses, signalProcess } from '../../bed/faults.js';
import { RELEASE_NAMESPACE } from '../../bed/product.js';
import { get, list, remove, type KubeObject } from './kube.js';
import { OPERATOR, ready } from './scale.js';
import type { Pod } from './vm.js';

const SELECTOR = `app.kubernetes.io/component=${OPERATOR.component}`;
const ELECTION = 'lockstep-operator';

interface Lease extends KubeObject {
  readonly spec: { readonly holderIdentity?: string };
}

export const operatorPods = (): Promise<Pod[]> => list<Pod>('pods', RELEASE_NAMESPACE, SELECTOR);

/** Name of the pod that leads, or null. */
export async function leader(): Promise<string | null> {
  const lease = await get<Lease>('lease', ELECTION, RELEASE_NAMESPACE);
  const holder = lease?.spec.holderIdentity ?? '';
  const pods = await operatorPods();
  return pods.find(({ metadata: { name } }) => holder.startsWith(name))?.metadata.name ?? null;
}

/** The operator's process in one of its pods; null when it has gone. */
export async function operatorProcess(
  pod: Pod,
): Promise<{ readonly node: string; readonly pid: number } | null> {
  const { nodeName: node } = pod.spec;
  if (node === undefined) return null;
  const isOperator = (argv: readonly string[]) =>
    argv.some((word) => word.endsWith('build/operator/main.js'));
  const [found] = await podProcesses(node, pod.metadata.uid, isOperator);
  return found === undefined ? null : { node, pid: found.pid };
}

export async function signalOperator(pod: Pod, signal: string): Promise<void> {
  const process = await operatorProcess(pod);
  if (process !== null) await signalProcess(process.node, process.pid, signal);
}

/** All of them at once. Their pods go, too: kubelet's pause before it starts a container again grows with each kill. */
export async function killOperators(): Promise<void> {
  for (const pod of await operatorPods()) {
    await signalOperator(pod, 'KILL');
    await remove('pod', pod.metadata.name, RELEASE_NAMESPACE, { force: true });
  }
}

export const operatorsReady = (): Promise<void> => ready(OPERATOR);
