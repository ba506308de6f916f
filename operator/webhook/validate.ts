// SPDX-License-Identifier: Apache-2.0
/**
 * What cannot work is refused when it is applied: one table of rules, each with the sentence that says what to change.
 * Pure. What the schema can say for itself it says (crds/).
 */
import type { Ftvm, VmiInterface, VmiSpec } from '../api/ftvm.js';
import { PORTS } from '../../sidecar/kubevirt/config.js';

export interface Objection {
  /** Path of the field, as in the manifest. */
  readonly field: string;
  /** What is wrong and what to change. */
  readonly sentence: string;
}

/** A VMI's specification as users write it: whatever KubeVirt's next release adds passes through. */
type Loose = Readonly<Record<string, unknown>>;

interface Rule {
  /** Below spec.template.spec. */
  readonly field: string;
  readonly sentence: string;
  /** What stands at `field`; undefined when nothing does. The whole specification beside it. */
  readonly refuses: (value: unknown, spec: VmiSpec) => boolean;
}

const isSet = (value: unknown): boolean => value !== undefined && value !== null;
const isTrue = (value: unknown): boolean => value === true;
const hasAny = (value: unknown): boolean => Array.isArray(value) && value.length > 0;

const rule = (field: string, sentence: string, refuses: Rule['refuses']): Rule => ({
  field,
  sentence,
  refuses,
});
const absent = (field: string, sentence: string): Rule => rule(field, sentence, isSet);
const empty = (field: string, sentence: string): Rule => rule(field, sentence, hasAny);
const off = (field: string, sentence: string): Rule => rule(field, sentence, isTrue);

const MEBIBYTE = 1024 ** 2;
const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 1024,
  Mi: MEBIBYTE,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
};

/** A quantity in bytes; NaN for what is none. */
export function bytesOf(quantity: unknown): number {
  const match = /^(\d+(?:\.\d+)?)([kMGT]i?|Ki)?$/.exec(String(quantity));
  return match === null ? Number.NaN : Number(match[1]) * (UNITS[match[2] ?? ''] ?? Number.NaN);
}

const vcpus = ({ domain }: VmiSpec): number =>
  (domain.cpu?.cores ?? 1) * (domain.cpu?.sockets ?? 1) * (domain.cpu?.threads ?? 1);

const NO_DISKS = 'disks are not supported yet: boot the guest by domain.firmware.kernelBoot';

export const RULES: readonly Rule[] = [
  rule(
    'domain.cpu',
    'record and replay orders the events of one vCPU: set cores, sockets and threads to 1',
    (_, spec) => vcpus(spec) !== 1,
  ),
  off('domain.cpu.dedicatedCpuPlacement', 'the sidecar and QEMU share the pod: leave dedicated CPUs out'),
  off('domain.cpu.isolateEmulatorThread', 'leave isolateEmulatorThread out'),
  absent('domain.cpu.numa', 'memory of NUMA nodes cannot be cloned: leave numa out'),
  absent('domain.cpu.realtime', 'a guest under emulation has no real time: leave realtime out'),
  absent('domain.memory.hugepages', 'huge pages cannot be cloned page by page: leave hugepages out'),
  absent('domain.memory.maxGuest', 'memory cannot be added to a protected VM: leave maxGuest out'),
  rule(
    'domain.memory.guest',
    'say how much memory the guest has, in whole MiB: 512Mi for instance',
    (value, { domain }) => {
      const bytes = bytesOf(value ?? domain.resources?.requests?.['memory']);
      return !(bytes >= MEBIBYTE && bytes % MEBIBYTE === 0);
    },
  ),
  absent(
    'domain.devices.rng',
    "random numbers of the host are in no log: leave rng out, the guest's kernel has its own source",
  ),
  absent('domain.devices.tpm', 'what a TPM answers is in no log: leave tpm out'),
  absent('domain.devices.watchdog', "the watchdog's timer cannot be followed: leave watchdog out"),
  absent('domain.devices.sound', 'sound cannot be followed: leave sound out'),
  absent(
    'domain.devices.clientPassthrough',
    'USB of a client is outside the log: leave clientPassthrough out',
  ),
  absent('domain.devices.downwardMetrics', "the host's metrics are in no log: leave downwardMetrics out"),
  absent('domain.devices.panicDevices', 'panic devices cannot be followed: leave them out'),
  empty('domain.devices.inputs', 'USB input cannot be followed: leave inputs out'),
  empty('domain.devices.gpus', 'GPUs cannot be followed: leave gpus out'),
  empty('domain.devices.hostDevices', 'host devices cannot be followed: leave hostDevices out'),
  empty('domain.devices.filesystems', 'virtiofs is outside the log: leave filesystems out'),
  empty('domain.devices.disks', NO_DISKS),
  empty('volumes', NO_DISKS),
  off(
    'domain.devices.networkInterfaceMultiqueue',
    "a guest's network has one queue: leave networkInterfaceMultiqueue out",
  ),
  off(
    'domain.devices.autoattachMemBalloon',
    'the balloon changes the guest from outside the log: leave autoattachMemBalloon out',
  ),
  off('domain.devices.autoattachVSOCK', 'vsock is outside the log: leave autoattachVSOCK out'),
  off(
    'domain.devices.autoattachInputDevice',
    'USB input cannot be followed: leave autoattachInputDevice out',
  ),
  absent('domain.firmware.bootloader.efi', 'EFI keeps its variables on a disk: use bios'),
  rule(
    'domain.firmware.kernelBoot',
    'the guest has nothing to boot from: set kernelBoot, as disks are not supported yet',
    (value) => !isSet(value),
  ),
  absent('domain.launchSecurity', 'encrypted memory cannot be cloned: leave launchSecurity out'),
  absent('domain.ioThreadsPolicy', 'I/O threads have an order of their own: leave ioThreadsPolicy out'),
  absent(
    'livenessProbe',
    'a probe that fails would end the live side: leave livenessProbe out, the lease decides who lives',
  ),
  absent('readinessProbe', 'readiness is the operator’s: leave readinessProbe out'),
  rule(
    'evictionStrategy',
    'a drain is the operator’s business: leave evictionStrategy out',
    (value) => isSet(value) && value !== 'External',
  ),
  rule('startStrategy', 'the operator starts the VM: leave startStrategy out', isSet),
  absent(
    'nodeSelector.kubernetes.io/hostname',
    'two sides need two nodes: leave the host name out of nodeSelector',
  ),
];

/** A dotted path; keys with dots of their own come last. */
function at(spec: unknown, path: string): unknown {
  let here: unknown = spec;
  let rest = path;
  while (rest !== '') {
    if (typeof here !== 'object' || here === null) return undefined;
    if (rest in here) return (here as Loose)[rest];
    const dot = rest.indexOf('.');
    if (dot < 0) return undefined;
    here = (here as Loose)[rest.slice(0, dot)];
    rest = rest.slice(dot + 1);
  }
  return here;
}

const BASE = 'spec.template.spec';

const OWN_PORTS: ReadonlySet<number> = new Set(Object.values(PORTS));
/** How a guest can be attached such that libvirt hands QEMU a tap. */
const REFUSED_BINDINGS = ['sriov', 'macvtap', 'slirp', 'passt', 'passtBinding'] as const;

/** Users may leave out what KubeVirt's types take for granted. */
function withDevices(spec: VmiSpec): VmiSpec {
  const { devices = {} } = spec.domain as Partial<VmiSpec['domain']>;
  return { ...spec, domain: { ...spec.domain, devices } };
}

function interfaceObjections(spec: VmiSpec): Objection[] {
  const field = `${BASE}.domain.devices.interfaces`;
  const all = spec.domain.devices.interfaces ?? [];
  const [first] = all;
  if (first === undefined || all.length > 1) {
    return [
      {
        field,
        sentence: `${all.length} interfaces: exactly one is supported, with masquerade or a tap binding`,
      },
    ];
  }
  return [...bindingObjections(first, `${field}[0]`), ...portObjections(first, spec, `${field}[0]`)];
}

function bindingObjections(one: VmiInterface, field: string): Objection[] {
  const refused = REFUSED_BINDINGS.find((name) => name in one);
  const objections: Objection[] = [];
  if (refused !== undefined) {
    const sentence = `${refused} passes the log by: use masquerade, or bridge or a tap binding on a secondary network`;
    objections.push({ field: `${field}.${refused}`, sentence });
  }
  if (one.model !== undefined && one.model !== 'virtio') {
    objections.push({
      field: `${field}.model`,
      sentence: `${one.model} cannot be followed: leave model out, it is virtio`,
    });
  }
  if (one.state !== undefined) {
    objections.push({
      field: `${field}.state`,
      sentence: 'a link that is switched from outside is in no log: leave state out',
    });
  }
  return objections;
}

function portObjections(one: VmiInterface, spec: VmiSpec, field: string): Objection[] {
  const ports = one.ports ?? [];
  const isOnPodNetwork = (spec.networks ?? []).some(
    ({ name, pod }) => name === one.name && pod !== undefined,
  );
  if (isOnPodNetwork && one.masquerade === undefined) {
    return [
      {
        field,
        sentence: 'on the pod network only masquerade keeps the sidecar reachable: set masquerade: {}',
      },
    ];
  }
  if (one.masquerade === undefined) return [];
  if (ports.length === 0) {
    const sentence =
      "declare the guest's ports: without them KubeVirt sends all that comes to the pod to the guest, the sidecar's share too";
    return [{ field: `${field}.ports`, sentence }];
  }
  return ports
    .filter(({ port }) => OWN_PORTS.has(port))
    .map(({ port }) => ({
      field: `${field}.ports`,
      sentence: `port ${port} is the sidecar's in the same pod: use another`,
    }));
}

const HOOK_ANNOTATION = 'hooks.kubevirt.io/hookSidecars';

function templateObjections({ spec: { template } }: Ftvm): Objection[] {
  const spec = template.spec;
  if (typeof spec.domain !== 'object') {
    return [{ field: `${BASE}.domain`, sentence: 'say what machine it is: domain is missing' }];
  }
  const byRules = RULES.filter(({ field, refuses }) => refuses(at(spec, field), spec)).map(
    ({ field, sentence }) => ({
      field: `${BASE}.${field}`,
      sentence,
    }),
  );
  const hooks = template.metadata?.annotations?.[HOOK_ANNOTATION];
  return [
    ...byRules,
    ...interfaceObjections(withDevices(spec)),
    ...(hooks === undefined
      ? []
      : [
          {
            field: `spec.template.metadata.annotations`,
            sentence: `a hook sidecar may change the machine on one side only: leave ${HOOK_ANNOTATION} out`,
          },
        ]),
  ];
}

/** With keys in one order. */
const essence = (value: unknown): string =>
  JSON.stringify(value, (_key, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );

/** All that stands in the way, in the order of the table; none: it is accepted. */
export function objectionsTo(ftvm: Ftvm, before: Ftvm | null): Objection[] {
  if (before === null) return templateObjections(ftvm);
  if (ftvm.metadata.deletionTimestamp !== undefined) return [];
  if (essence(ftvm.spec.template) !== essence(before.spec.template)) {
    const sentence =
      'a running machine does not change with its template: delete the resource and create it anew';
    return [{ field: 'spec.template', sentence }];
  }
  return [];
}

/** Live migration moves a guest past the log; our own VMIs are never migrated. */
export function migrationObjection(vmi: string): Objection {
  return {
    field: 'spec.vmiName',
    sentence: `${vmi} is a side of a FaultTolerantVM and is not migrated: drain its node, the operator moves it`,
  };
}

export const sentenceOf = (objections: readonly Objection[]): string =>
  objections.map(({ field, sentence }) => `${field}: ${sentence}`).join('; ');
