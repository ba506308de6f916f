// SPDX-License-Identifier: Apache-2.0
/** A template that can be protected, and changes to it as a person would make them. */

const KERNEL = { image: 'guest', kernelPath: '/boot/vmlinuz' };
export const NIC = { name: 'default', masquerade: {}, ports: [{ port: 80 }] };
export const GOOD = {
  metadata: { labels: { app: 'shop' }, annotations: { note: 'x' } },
  spec: {
    domain: {
      memory: { guest: '256Mi' },
      firmware: { kernelBoot: { container: KERNEL } },
      devices: { interfaces: [NIC] },
    },
    networks: [{ name: 'default', pod: {} }],
  },
};

export type Json = Readonly<Record<string, unknown>>;
export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** One over the other, as a manifest is changed by hand; undefined takes away. */
export function merged(one: unknown, change: unknown): unknown {
  if (!isObject(one) || !isObject(change)) return change;
  const keys = [...new Set([...Object.keys(one), ...Object.keys(change)])];
  return Object.fromEntries(
    keys
      .map((key) => [key, key in change ? merged(one[key], change[key]) : one[key]] as const)
      .filter(([, value]) => value !== undefined),
  );
}

export const spec = (change: Json): Json => ({ spec: change });
export const domain = (change: Json): Json => spec({ domain: change });
export const devices = (change: Json): Json => domain({ devices: change });
export const firmware = (change: Json): Json => domain({ firmware: change });
export const nic = (change: Json): Json => devices({ interfaces: [merged(NIC, change)] });
/** An interface on a secondary network. */
export const secondary = (
  change: Json,
  network: unknown = { name: 'l2', multus: { networkName: 'l2' } },
): Json => spec({ domain: { devices: { interfaces: [{ name: 'l2', ...change }] } }, networks: [network] });
export const nodes = (...terms: readonly Json[]): Json =>
  spec({
    affinity: {
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } },
    },
  });
export const host = (...values: readonly string[]): Json => ({
  matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values }],
});
export const node = (name: string): Json => ({
  matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }],
});
export const annotation = (key: string, value = ''): Json => ({
  metadata: { annotations: { [key]: value } },
});
export const label = (key: string, value = ''): Json => ({ metadata: { labels: { [key]: value } } });
