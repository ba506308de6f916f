// SPDX-License-Identifier: Apache-2.0
/**
 * What is added to the launcher pod of one of our VMIs: QEMU's bundle, the sidecar, and the door where libvirt looks for
 * QEMU. Pure: a pod goes in, a JSON patch (RFC 6902) comes out; a pod that has all of it gets an empty one.
 */
import { PORTS } from '../../sidecar/kubevirt/config.js';
import type { KubeObject } from '../kit/object.js';
import { NETWORKS_ANNOTATION, withLoggingNetwork } from '../logging-network.js';
import { ANNOTATIONS, LABELS, LIVE_GATE, secretNameOf, SIDECAR_CONTAINER } from '../names.js';

export interface InjectSettings {
  readonly sidecarImage: string;
  readonly pullPolicy: string;
  /** Where libvirt of any launcher image looks for QEMU. */
  readonly emulatorPaths: readonly string[];
}

interface Container {
  readonly name: string;
  readonly volumeMounts?: readonly object[];
}

/** As much of a pod as is looked at. */
export interface LauncherPod extends KubeObject {
  readonly spec: {
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[];
    readonly volumes?: readonly { readonly name: string }[];
    readonly readinessGates?: readonly object[];
  };
}

export interface PatchStep {
  readonly op: 'add';
  readonly path: string;
  readonly value: unknown;
}

/** The pod cannot be made what it must be; it must not be created as it is. */
export class InjectError extends Error {
  readonly code = 'LOCKSTEP_INJECT';
}

const COMPUTE = 'compute';
const VOLUMES = { run: 'lockstep-run', bundle: 'lockstep-bundle', identity: 'lockstep-identity' } as const;
const RUN_DIR = '/run/lockstep';
const BUNDLE_DIR = '/opt/lockstep';
/**
 * Where the bundle's QEMU looks for modules of its own. It has none; those of a launcher image's QEMU of another release
 * would end it (an assertion of QEMU's, util/module.c), so an empty folder covers them.
 */
const MODULES_DIR = '/usr/lib/x86_64-linux-gnu/qemu';
const IDENTITY_DIR = '/etc/lockstep';
/** KubeVirt's user for QEMU: sidecar and QEMU share files and sockets. */
const QEMU_USER = 107;
/** The ring is 64 MiB, and a start that came to nothing may leave its own until the next. */
const RUN_SIZE = '256Mi';
/**
 * KubeVirt's pod that only provisions a volume. Our VMs have none yet, so whoever says that is no such pod: with this
 * annotation let through, a guest would start without its sidecar.
 */
const EPHEMERAL = 'kubevirt.io/ephemeral-provisioning';

const RESTRICTED = {
  runAsUser: QEMU_USER,
  runAsGroup: QEMU_USER,
  runAsNonRoot: true,
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  readOnlyRootFilesystem: true,
};

const volumesFor = (vmi: string): object[] => [
  { name: VOLUMES.run, emptyDir: { medium: 'Memory', sizeLimit: RUN_SIZE } },
  { name: VOLUMES.bundle, emptyDir: {} },
  { name: VOLUMES.identity, secret: { secretName: secretNameOf(vmi), defaultMode: 0o440 } },
];

const bundleContainer = ({ sidecarImage, pullPolicy }: InjectSettings): object => ({
  name: VOLUMES.bundle,
  image: sidecarImage,
  imagePullPolicy: pullPolicy,
  // Not -a: the folder that it is copied into belongs to the node's kubelet, and nothing of it can be preserved.
  command: ['cp', '-R', '/bundle/.', `${BUNDLE_DIR}/`],
  securityContext: RESTRICTED,
  resources: { requests: { cpu: '10m', memory: '16Mi' } },
  volumeMounts: [{ name: VOLUMES.bundle, mountPath: BUNDLE_DIR }],
});

const field = (name: string, fieldPath: string): object => ({ name, valueFrom: { fieldRef: { fieldPath } } });

const sidecarContainer = ({ sidecarImage, pullPolicy }: InjectSettings): object => ({
  name: SIDECAR_CONTAINER,
  image: sidecarImage,
  imagePullPolicy: pullPolicy,
  env: [
    field('POD_IP', 'status.podIP'),
    field('NODE_NAME', 'spec.nodeName'),
    field('POD_NAME', 'metadata.name'),
  ],
  ports: Object.entries(PORTS).map(([name, containerPort]) => ({ name: `ls-${name}`, containerPort })),
  securityContext: RESTRICTED,
  // No limit of CPU: a sidecar that is throttled for longer than the detector's time-out loses its part.
  resources: { requests: { cpu: '100m', memory: '160Mi' } },
  volumeMounts: [
    { name: VOLUMES.run, mountPath: RUN_DIR },
    { name: VOLUMES.identity, mountPath: IDENTITY_DIR, readOnly: true },
  ],
});

const computeMounts = ({ emulatorPaths }: InjectSettings): object[] => [
  { name: VOLUMES.run, mountPath: RUN_DIR },
  { name: VOLUMES.bundle, mountPath: BUNDLE_DIR, readOnly: true },
  { name: VOLUMES.bundle, mountPath: MODULES_DIR, subPath: 'modules', readOnly: true },
  ...emulatorPaths.map((mountPath) => ({
    name: VOLUMES.bundle,
    mountPath,
    subPath: 'door',
    readOnly: true,
  })),
];

/** Appends to a list that may not be there yet. */
const append = (
  path: string,
  list: readonly unknown[] | undefined,
  values: readonly unknown[],
): PatchStep[] =>
  list === undefined
    ? [{ op: 'add', path, value: values }]
    : values.map((value) => ({ op: 'add', path: `${path}/-`, value }));

/** As a JSON pointer has it. */
const pointer = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');

/** KubeVirt has written by now which networks the guest needs. */
function loggingNetwork(annotations: Readonly<Record<string, string>> = {}): PatchStep[] {
  const network = annotations[ANNOTATIONS.loggingNetwork];
  if (network === undefined) return [];
  const value = withLoggingNetwork(annotations[NETWORKS_ANNOTATION], network);
  return [{ op: 'add', path: `/metadata/annotations/${pointer(NETWORKS_ANNOTATION)}`, value }];
}

/** Now that it is a side it may have a node. */
function scheduler(annotations: Readonly<Record<string, string>> = {}): PatchStep[] {
  const name = annotations[ANNOTATIONS.scheduler];
  return name === undefined ? [] : [{ op: 'add', path: '/spec/schedulerName', value: name }];
}

/** @throws InjectError, NetworksError */
export function patchFor(pod: LauncherPod, settings: InjectSettings): PatchStep[] {
  const { spec, metadata } = pod;
  if (metadata.annotations?.[EPHEMERAL] !== undefined) {
    throw new InjectError(
      `annotation ${EPHEMERAL}: VMs with volumes are not supported yet, and nothing starts unprotected`,
    );
  }
  if ((spec.volumes ?? []).some(({ name }) => name === VOLUMES.run)) return []; // called a second time
  const vmi = metadata.labels?.[LABELS.vmi];
  if (vmi === undefined)
    throw new InjectError(`the pod has no label ${LABELS.vmi}: it was not made by the operator`);
  const compute = spec.containers.findIndex(({ name }) => name === COMPUTE);
  if (compute < 0)
    throw new InjectError(`the pod has no container '${COMPUTE}': is it a launcher of KubeVirt?`);
  return [
    ...append('/spec/volumes', spec.volumes, volumesFor(vmi)),
    ...append('/spec/initContainers', spec.initContainers, [bundleContainer(settings)]),
    ...append(
      `/spec/containers/${compute}/volumeMounts`,
      spec.containers[compute]?.volumeMounts,
      computeMounts(settings),
    ),
    // Behind compute, which KubeVirt wants first.
    ...append('/spec/containers', spec.containers, [sidecarContainer(settings)]),
    ...append('/spec/readinessGates', spec.readinessGates, [{ conditionType: LIVE_GATE }]),
    ...loggingNetwork(metadata.annotations),
    ...scheduler(metadata.annotations),
  ];
}
