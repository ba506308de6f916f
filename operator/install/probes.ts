// SPDX-License-Identifier: Apache-2.0
/** Two VMs that are tried in dry runs, to see whether the webhook is there: one that it must take, one it must not. */

const GROUP_VERSION = 'lockstep.dev/v1alpha1';

interface ProbeVm {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: { readonly template: { readonly spec: Readonly<Record<string, unknown>> } };
}

function probeVm(name: string, namespace: string, cores: number): ProbeVm {
  return {
    apiVersion: GROUP_VERSION,
    kind: 'FaultTolerantVM',
    metadata: { name, namespace },
    spec: {
      template: {
        spec: {
          domain: {
            cpu: { cores },
            memory: { guest: '128Mi' },
            firmware: { kernelBoot: { container: { image: 'none', kernelPath: '/vmlinuz' } } },
            devices: { interfaces: [{ name: 'default', masquerade: {}, ports: [{ port: 80 }] }] },
          },
          networks: [{ name: 'default', pod: {} }],
        },
      },
    },
  };
}

export const goodVm = (namespace: string): ProbeVm => probeVm('lockstep-install-check-good', namespace, 1);

/** Nothing but the webhook looks into a template: the schema of the resource lets this one through. */
export const badVm = (namespace: string): ProbeVm => probeVm('lockstep-install-check-bad', namespace, 2);
