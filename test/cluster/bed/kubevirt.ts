// SPDX-License-Identifier: Apache-2.0
// KubeVirt, deployed by its own operator.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { apply, kubectl } from './kubectl.js';
import { MANIFESTS } from './settings.js';

const AVAILABLE_TIMEOUT_S = 480;
const NAMESPACE = 'kubevirt';
const NAMESPACE_MANIFEST = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: {
    name: NAMESPACE,
    labels: { 'kubevirt.io': '', 'pod-security.kubernetes.io/enforce': 'privileged' },
  },
});

/** Fills in what KubeVirt's own manifests leave open. Pure. */
export const filledIn = (manifest: string): string => manifest.replaceAll('{{.Namespace}}', NAMESPACE);

/** `files`: the folder with KubeVirt's programs and manifests. */
export async function deployKubevirt(files: string): Promise<void> {
  await apply(NAMESPACE_MANIFEST);
  await apply(await readFile(join(files, 'kv-resource.yaml'), 'utf8'));
  await apply(filledIn(await readFile(join(files, 'rbac-operator.authorization.k8s.yaml.in'), 'utf8')));
  await apply(await readFile(join(MANIFESTS, 'kubevirt-operator.yaml'), 'utf8'));
  await kubectl(['wait', '--for=condition=Established', 'crd/kubevirts.kubevirt.io', '--timeout=30s']);
  await apply(await readFile(join(MANIFESTS, 'kubevirt.yaml'), 'utf8'));
}

export async function kubevirtAvailable(): Promise<void> {
  const what = ['--for=condition=Available', 'kubevirt/kubevirt', '--namespace', NAMESPACE];
  await kubectl(['wait', ...what, `--timeout=${AVAILABLE_TIMEOUT_S}s`], {
    timeoutMs: (AVAILABLE_TIMEOUT_S + 10) * 1000,
  });
}
