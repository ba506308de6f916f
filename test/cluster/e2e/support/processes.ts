// SPDX-License-Identifier: Apache-2.0
// Processes of a side's launcher pod, on its node.
import { podProcesses, signalProcess, type NodeProcess } from '../../bed/faults.js';
import type { Side } from './vm.js';

export type Part = 'sidecar' | 'QEMU' | 'virt-launcher';

/** By what their command lines have. QEMU is run by the bundle's own loader. */
const IS: Readonly<Record<Part, (argv: readonly string[]) => boolean>> = {
  sidecar: (argv) => argv.some((word) => word.endsWith('build/sidecar/kubevirt/main.js')),
  QEMU: (argv) => argv.some((word) => word.endsWith('bin/qemu-system-x86_64')),
  'virt-launcher': ([file = '']) => file.endsWith('virt-launcher'),
};

export async function processOf({ node, pod }: Side, part: Part): Promise<NodeProcess> {
  const [found, ...more] = await podProcesses(node, pod.metadata.uid, IS[part]);
  if (found === undefined || more.length > 0)
    throw new Error(`${pod.metadata.name}: ${found === undefined ? 'no' : 'more than one'} ${part}`);
  return found;
}

export async function kill(side: Side, part: Part): Promise<void> {
  const { pid } = await processOf(side, part);
  await signalProcess(side.node, pid, 'KILL');
}
