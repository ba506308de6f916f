// SPDX-License-Identifier: Apache-2.0
/** One interface, of which libvirt hands QEMU a tap, and which leaves the sidecar its own way to the network. */
import type { VmiNetwork } from '../../api/ftvm.js';
import { PORTS } from '../../../sidecar/kubevirt/config.js';
import { absent, empty, isSet, rule, valueAt, type LooseSpec, type Rule } from './rule.js';

const NIC = 'spec.domain.devices.interfaces.0';
const BINDINGS = ['masquerade', 'bridge', 'binding'] as const;
/** What carries packets around QEMU's own network, which is what the log holds; and plugins that are called so. */
const BYPASSES = ['sriov', 'macvtap', 'slirp', 'passt', 'passtBinding'] as const;
const BYPASSING_PLUGIN = /passt|vdpa|vhost-?user|slirp|macvtap|sr-?iov/i;
const PASSED_BY =
  'packets would pass the log by: use masquerade, or bridge or a tap binding on a secondary network';
/** As the sidecar reads it; the second digit of an address of one station is even. */
const MAC = /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/;

const isPort = (value: unknown): boolean =>
  Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65535;
const OWN_PORTS: ReadonlySet<unknown> = new Set(Object.values(PORTS));

type Nic = NonNullable<NonNullable<NonNullable<LooseSpec['domain']>['devices']>['interfaces']>[number];
type Network = Partial<VmiNetwork>;

const nicOf = ({ domain }: LooseSpec): Nic => domain?.devices?.interfaces?.[0];
const isBound = (spec: LooseSpec, how: (typeof BINDINGS)[number]): boolean => isSet(nicOf(spec)?.[how]);
const networksOf = ({ networks }: LooseSpec): readonly Network[] => (networks ?? []) as readonly Network[];
const networkOf = (spec: LooseSpec): Network | undefined =>
  networksOf(spec).find(({ name }) => name === nicOf(spec)?.name);
const isOnPodNetwork = (spec: LooseSpec): boolean => isSet(networkOf(spec)?.pod);

/** Each port of each protocol once, and each one is a port. */
function makeService(value: unknown): boolean {
  const ports: readonly unknown[] = Array.isArray(value) ? value : [];
  const numbers = ports.map((one) => valueAt(one, 'port'));
  const keys = ports.map((one, at) => JSON.stringify([valueAt(one, 'protocol') ?? 'TCP', numbers[at]]));
  return numbers.every(isPort) && new Set(keys).size === ports.length;
}

const INTERFACES: readonly Rule[] = [
  rule(
    'spec.domain.devices.interfaces',
    'exactly one interface is supported, with masquerade or a tap binding',
    (value) => (Array.isArray(value) ? value.length : 0) !== 1,
  ),
  rule(
    `${NIC}.name`,
    'the interface has no network: name one that is in networks',
    (_, spec) => nicOf(spec) !== undefined && networkOf(spec) === undefined,
  ),
  rule(
    NIC,
    'say once how the interface is bound: masquerade: {} on the pod network, bridge: {} or a tap binding on a secondary one',
    (value, spec) =>
      isSet(value) &&
      !BYPASSES.some((name) => isSet(valueAt(value, name))) &&
      BINDINGS.filter((how) => isBound(spec, how)).length !== 1,
  ),
  ...BYPASSES.map((name) => absent(`${NIC}.${name}`, PASSED_BY)),
  rule(`${NIC}.binding.name`, PASSED_BY, (value) => isSet(value) && BYPASSING_PLUGIN.test(String(value))),
  rule(
    `${NIC}.model`,
    'of all models virtio can be followed: leave model out',
    (value) => isSet(value) && value !== 'virtio',
  ),
  absent(`${NIC}.state`, 'a link that is switched from outside is in no log: leave state out'),
  rule(
    `${NIC}.macAddress`,
    'write the address like 02:00:00:00:00:01, of one station (second digit even), or leave it out: it is made of the resource',
    (value) => isSet(value) && !MAC.test(String(value)),
  ),
];

const POD_NETWORK: readonly Rule[] = [
  rule(
    `${NIC}.masquerade`,
    'on the pod network only masquerade keeps the sidecar reachable: set masquerade: {}',
    (_, spec) => isOnPodNetwork(spec) && (isBound(spec, 'bridge') || isBound(spec, 'binding')),
  ),
  rule(
    `${NIC}.masquerade`,
    'masquerade is for the pod network alone: use bridge or a tap binding on a secondary one',
    (value, spec) => isSet(value) && networkOf(spec) !== undefined && !isOnPodNetwork(spec),
  ),
  rule(
    `${NIC}.ports`,
    "declare the guest's ports: without them KubeVirt sends all that comes to the pod to the guest, the sidecar's share too",
    (value, spec) => isBound(spec, 'masquerade') && !(Array.isArray(value) && value.length > 0),
  ),
  rule(
    `${NIC}.ports`,
    `${[...OWN_PORTS].join(', ')} are the sidecar's ports in the same pod: use others`,
    (value, spec) =>
      isBound(spec, 'masquerade') &&
      Array.isArray(value) &&
      value.some((one) => OWN_PORTS.has(valueAt(one, 'port'))),
  ),
  rule(
    `${NIC}.ports`,
    'a port is a whole number from 1 to 65535, and stands there once: a Service is made of them',
    (value, spec) => isBound(spec, 'masquerade') && !makeService(value),
  ),
  empty(`${NIC}.portRanges`, "a range may hold the sidecar's ports: name each port in ports"),
];

const NETWORKS: readonly Rule[] = [
  rule('spec.networks', 'a network has no interface: leave out what no interface names', (_, spec) =>
    networksOf(spec).some(({ name }) => name !== nicOf(spec)?.name),
  ),
  rule(
    'spec.networks.0',
    'say what network it is: pod: {} or multus',
    (value) => isSet(value) && isSet(valueAt(value, 'pod')) === isSet(valueAt(value, 'multus')),
  ),
  rule(
    'spec.networks.0.multus.networkName',
    'name the NetworkAttachmentDefinition in networkName',
    (value, spec) => isSet(networkOf(spec)?.multus) && (!isSet(value) || value === ''),
  ),
  rule(
    'spec.networks.0.multus.default',
    "the guest would take the pod's own network, and the sidecar would be cut off: leave default out",
    (value) => value === true,
  ),
];

export const NETWORK: readonly Rule[] = [...INTERFACES, ...POD_NETWORK, ...NETWORKS];
