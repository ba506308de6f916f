// SPDX-License-Identifier: Apache-2.0
/** The settings of a sidecar in a launcher pod: a file of its Secret, written by the operator, and what the pod knows of itself. */
import { isIP } from 'node:net';
import { z } from 'zod';
import type { Limits } from '../protocol/limits.js';
import {
  ConfigError,
  coldStart,
  host,
  limitChanges,
  logOptions,
  macAddress,
  parseSettings,
  port,
  readJson,
  vmName,
} from '../settings.js';

/** Where each sidecar listens in its pod. */
export const PORTS = { channel: 7700, api: 7701, metrics: 9700 } as const;

const peer = z.strictObject({
  /** Of the logging channel. */
  host,
  port,
  /** Port of the peer's API. */
  api: port,
  /** Where that is, if not on the network of the channel. */
  apiHost: host.optional(),
});

const schema = z.strictObject({
  vm: vmName,
  /** Name and namespace of the VirtualMachineInstance. */
  vmi: z.string().min(1).max(253),
  namespace: z.string().min(1).max(63),
  start: z.discriminatedUnion('role', [
    z.strictObject({ role: z.literal('primary'), coldStart }),
    z.strictObject({ role: z.literal('backup'), peer }),
  ]),
  /** QEMU's name of the processor that the guest sees. A backup takes over its primary's. */
  cpuModel: z.string().min(1),
  /** Address of the guest's NIC, where it must not be the one that KubeVirt knows. */
  mac: macAddress.nullable(),
  store: z.strictObject({
    host,
    port,
    username: z.string().optional(),
    password: z.string().optional(),
    keyPrefix: z.string().optional(),
    /** PEM; there when the store is to be talked to by TLS. */
    tlsCa: z.string().optional(),
  }),
  log: logOptions,
  limits: limitChanges,
});

/** sidecar.json */
export type Config = Omit<z.output<typeof schema>, 'limits'> & { readonly limits: Limits };
export type Peer = z.output<typeof peer>;

/** @throws ConfigError */
export const parseConfig = (value: unknown): Config => parseSettings(schema, value);

/** @throws ConfigError */
export const readConfig = (file: string): Config => parseConfig(readJson(file));

/** What the pod knows of itself. */
export interface Pod {
  readonly ip: string;
  readonly node: string;
}

/** @throws ConfigError naming the variable that the pod's template must set */
export function podOf(environment: Readonly<Record<string, string | undefined>>): Pod {
  const ip = environment['POD_IP'] ?? '';
  const node = environment['NODE_NAME'] ?? '';
  if (isIP(ip) === 0) throw new ConfigError('POD_IP must be the address of this pod (status.podIP)');
  if (node === '') throw new ConfigError('NODE_NAME must be the node of this pod (spec.nodeName)');
  return { ip, node };
}
