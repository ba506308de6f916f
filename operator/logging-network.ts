// SPDX-License-Identifier: Apache-2.0
/**
 * A network of its own for what the two sides tell each other: how a launcher pod asks Multus for it, and what address
 * Multus gave the pod there. The API that operator and sidecars call stays on the pod network. Pure.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import type { Pod } from './api/objects.js';
import { ANNOTATIONS } from './names.js';

/** A pod's wishes and Multus's answer: the specification of NetworkAttachmentDefinitions, 3 and 4. */
export const NETWORKS_ANNOTATION = 'k8s.v1.cni.cncf.io/networks';
export const NETWORK_STATUS_ANNOTATION = 'k8s.v1.cni.cncf.io/network-status';
/** In the pod: so it is told from a guest's interface, which may be on the same network. */
export const LOGGING_INTERFACE = 'lockstep0';

/** What a pod asks Multus for cannot be read. */
export class NetworksError extends Error {
  readonly code = 'LOCKSTEP_NETWORKS';
}

/** As Multus tells its two forms apart. */
const isJson = (networks: string): boolean => /[[{"]/.test(networks);

/** Null: it is none. */
function listIn(json: string): unknown[] | null {
  try {
    const list: unknown = JSON.parse(json);
    return Array.isArray(list) ? list : null;
  } catch {
    return null;
  }
}

/** A network can be added to it. */
export const canBeRead = (networks: string): boolean => !isJson(networks) || listIn(networks) !== null;

/**
 * The annotation with one network more; what stands there stays, in the form that it has.
 * @param network `name`, or `namespace/name`
 * @throws NetworksError
 */
export function withLoggingNetwork(networks: string | undefined, network: string): string {
  const there = (networks ?? '').trim();
  if (!isJson(there)) return [there, `${network}@${LOGGING_INTERFACE}`].filter((one) => one !== '').join(',');
  const list = listIn(there);
  if (list === null) {
    throw new NetworksError(
      `annotation ${NETWORKS_ANNOTATION} is neither a list in JSON nor names with commas`,
    );
  }
  const [name, namespace] = network.split('/').reverse();
  const selection = { name, ...(namespace === undefined ? {} : { namespace }), interface: LOGGING_INTERFACE };
  return JSON.stringify([...list, selection]);
}

const statusSchema = z.array(
  z.looseObject({ interface: z.string().optional(), ips: z.array(z.string()).optional() }),
);

/** Null: it has none there, or none that a sidecar listens at, which is of the kind that the pod's own address is. */
function loggingIpOf({ metadata, status }: Pod): string | null {
  // Multus writes it; who else does has no network to tell of.
  const list = listIn(metadata.annotations?.[NETWORK_STATUS_ANNOTATION] ?? '');
  const networks = statusSchema.safeParse(list);
  const ips = networks.data?.find((one) => one.interface === LOGGING_INTERFACE)?.ips ?? [];
  return ips.find((ip) => isIP(ip) !== 0 && isIP(ip) === isIP(status?.podIP ?? '')) ?? null;
}

/** Where a side's sidecar is reached. */
export interface PeerAddress {
  /** Of the logging channel; null when its pod was to have a network for that and has no address there. */
  readonly channel: string | null;
  readonly api: string;
}

/** Null: the pod has no address yet. */
export function addressOf(pod: Pod): PeerAddress | null {
  const api = pod.status?.podIP;
  if (api === undefined) return null;
  const hasOwn = pod.metadata.annotations?.[ANNOTATIONS.loggingNetwork] !== undefined;
  return { channel: hasOwn ? loggingIpOf(pod) : api, api };
}
