// SPDX-License-Identifier: Apache-2.0
/**
 * The VMI of one side: what the user's template says, and what a protected VM must be on KubeVirt. Pure. Each line that
 * forces something keeps KubeVirt or Kubernetes from losing a guest; the test names them one by one.
 */
import type { StoredFtvm, Side, VmiInterface, VmiSpec } from '../api/ftvm.js';
import type { Vmi } from '../api/objects.js';
import {
  ANNOTATIONS,
  DEFAULT_SCHEDULER,
  firmwareUuidOf,
  GUARD_SCHEDULER,
  LABELS,
  macOf,
  MANAGED_BY,
  STORE_POD_LABELS,
} from '../names.js';
import { ownerOf } from './owner.js';

const HOSTNAME_TOPOLOGY = 'kubernetes.io/hostname';
const NO_EXECUTE = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'] as const;

/** On the pod network the address that KubeVirt's DHCP server knows must be that of either side's guest. */
const isOnPodNetwork = (spec: VmiSpec, { name }: VmiInterface): boolean =>
  (spec.networks ?? []).some((network) => network.name === name && network.pod !== undefined);

/**
 * The guest's address where KubeVirt must not know it; null where it does. On a secondary network both pods' interfaces
 * are there at once: with the guest's own address on both, switches and checks of duplicates would take offence.
 */
export function guestMacOf({ spec: { template }, metadata: { uid } }: StoredFtvm): string | null {
  const [first] = template.spec.domain.devices.interfaces ?? [];
  if (first === undefined || isOnPodNetwork(template.spec, first)) return null;
  return first.macAddress ?? macOf(uid);
}

function interfacesOf(spec: VmiSpec, uid: string): VmiInterface[] {
  return (spec.domain.devices.interfaces ?? []).map((one) => {
    const { macAddress, ...rest } = one;
    return isOnPodNetwork(spec, one) ? { ...rest, macAddress: macAddress ?? macOf(uid) } : rest;
  });
}

const WEIGHT_MAX = 100;

type PodAntiAffinity = NonNullable<NonNullable<VmiSpec['affinity']>['podAntiAffinity']>;

/**
 * Away from the lease store where there are nodes enough: who loses the primary's node together with the store waits for
 * the store before it may take over. A VM with a store of its own has nothing to do with the chart's.
 */
function awayFromStore({ spec: { store } }: StoredFtvm): PodAntiAffinity {
  if (store.secretName !== undefined) return {};
  const podAffinityTerm = {
    labelSelector: { matchLabels: STORE_POD_LABELS },
    // In whatever namespace the installation is.
    namespaceSelector: {},
    topologyKey: HOSTNAME_TOPOLOGY,
  };
  return { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: WEIGHT_MAX, podAffinityTerm }] };
}

function affinityOf(ftvm: StoredFtvm): NonNullable<VmiSpec['affinity']> {
  const { affinity } = ftvm.spec.template.spec;
  const own = affinity?.podAntiAffinity;
  const sides = { matchLabels: { [LABELS.vm]: ftvm.metadata.name } };
  const { preferredDuringSchedulingIgnoredDuringExecution: away = [] } = awayFromStore(ftvm);
  const preferred = [...(own?.preferredDuringSchedulingIgnoredDuringExecution ?? []), ...away];
  return {
    ...affinity,
    podAntiAffinity: {
      ...own,
      requiredDuringSchedulingIgnoredDuringExecution: [
        ...(own?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
        { labelSelector: sides, topologyKey: HOSTNAME_TOPOLOGY },
      ],
      ...(preferred.length === 0 ? {} : { preferredDuringSchedulingIgnoredDuringExecution: preferred }),
    },
  };
}

/** Taint eviction deletes pods past every webhook, and with them the live side of a node that only was not heard. */
function tolerationsOf(spec: VmiSpec): NonNullable<VmiSpec['tolerations']> {
  const others = (spec.tolerations ?? []).filter(({ key }) => !NO_EXECUTE.some((taint) => taint === key));
  const forever = { operator: 'Exists', effect: 'NoExecute' } as const;
  // Ours first: the first that matches a taint counts, and a user's may match all taints for a while.
  return [...NO_EXECUTE.map((key) => ({ key, ...forever })), ...others] as VmiSpec['tolerations'] & object;
}

function annotationsOf({ spec }: StoredFtvm, side: Side): Record<string, string> {
  const own = spec.template.metadata?.annotations ?? {};
  const logging = spec.placement.loggingNetwork;
  return {
    ...own,
    [ANNOTATIONS.startedAs]: side.role,
    [ANNOTATIONS.scheduler]: spec.template.spec.schedulerName ?? DEFAULT_SCHEDULER,
    // Not what Multus reads: KubeVirt writes that of its own pods, and the webhook adds to it.
    ...(logging === undefined ? {} : { [ANNOTATIONS.loggingNetwork]: logging }),
  };
}

/** With its upper limit: from 1 GiB on KubeVirt keeps room for four times as much, by way of a NUMA node. */
function memoryOf({ memory, resources }: VmiSpec['domain']): NonNullable<VmiSpec['domain']['memory']> {
  const guest = memory?.guest ?? (resources?.requests as Record<string, string> | undefined)?.['memory'];
  return { ...memory, ...(guest === undefined ? {} : { guest, maxGuest: guest }) };
}

export function buildVmi(ftvm: StoredFtvm, side: Side): Vmi {
  const { name, namespace, uid } = ftvm.metadata;
  const { template, placement } = ftvm.spec;
  const { spec } = template;
  const { domain } = spec;
  const built: VmiSpec = {
    ...spec,
    hostname: spec.hostname ?? name,
    schedulerName: GUARD_SCHEDULER,
    // Any deletion would otherwise press the power button: an input that is in no log.
    terminationGracePeriodSeconds: 0,
    // A drain is the operator's business; the cluster's default is often LiveMigrate.
    evictionStrategy: 'External',
    affinity: affinityOf(ftvm),
    tolerations: tolerationsOf(spec),
    nodeSelector: { ...spec.nodeSelector, ...placement.nodeSelector },
    domain: {
      ...domain,
      // Said, because KubeVirt would make sockets of the CPUs that resources ask for, and keep room for more.
      cpu: { ...domain.cpu, cores: 1, sockets: 1, threads: 1, maxSockets: 1 },
      memory: memoryOf(domain),
      firmware: { ...domain.firmware, uuid: domain.firmware?.uuid ?? firmwareUuidOf(uid) },
      devices: {
        ...domain.devices,
        interfaces: interfacesOf(spec, uid),
        autoattachMemBalloon: false,
        autoattachVSOCK: false,
        logSerialConsole: false,
        disableHotplug: true,
      },
    },
  };
  return {
    metadata: {
      name: side.vmi,
      ...(namespace === undefined ? {} : { namespace }),
      labels: {
        ...template.metadata?.labels,
        [LABELS.vm]: name,
        [LABELS.vmi]: side.vmi,
        [LABELS.managedBy]: MANAGED_BY,
      },
      annotations: annotationsOf(ftvm, side),
      ownerReferences: [ownerOf(ftvm)],
    },
    spec: built,
  };
}
