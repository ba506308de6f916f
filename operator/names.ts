// SPDX-License-Identifier: Apache-2.0
/** Every name by which operator, webhook, sidecar and chart find each other. Pure. */
import { createHash } from 'node:crypto';

export const GROUP = 'lockstep.dev';
export const FIELD_MANAGER = 'lockstep-operator';
export const FINALIZER = `${GROUP}/pair`;

export const LABELS = {
  /** Name of the FaultTolerantVM; on all that belongs to it. */
  vm: `${GROUP}/vm`,
  /** Name of the VMI, on the VMI, its launcher pod and its Secret. */
  vmi: `${GROUP}/vmi`,
  /** `primary` or `backup`, on launcher pods: a Service follows it. */
  role: `${GROUP}/role`,
  managedBy: 'app.kubernetes.io/managed-by',
} as const;
export const MANAGED_BY = 'lockstep';

export const ANNOTATIONS = {
  /** A person's word that both sides are dead; the value is the epoch that status shows. */
  coldStart: `${GROUP}/cold-start`,
  /** Nothing is done for this VM as long as it is `true`. */
  pausedReconcile: `${GROUP}/paused-reconcile`,
  /** On a VMI: the role as which it was started. */
  startedAs: `${GROUP}/started-as`,
  /** On a VMI and its pod: the scheduler that the pod is for; in its own place stands nobody's name (GUARD_SCHEDULER). */
  scheduler: `${GROUP}/scheduler`,
  /** On a VMI and its pod: the NetworkAttachmentDefinition of the network for the logging channel. */
  loggingNetwork: `${GROUP}/logging-network`,
} as const;

/**
 * The scheduler of our VMIs, which nobody is. The webhook puts the right one in its place with all that makes the pod a
 * side: a launcher pod that it has not seen (its configuration is gone) finds no node, and starts no guest without a sidecar.
 */
export const GUARD_SCHEDULER = 'lockstep-dev-without-webhook';
export const DEFAULT_SCHEDULER = 'default-scheduler';

/** Labels of the pods of the lease store that comes with the installation, in whatever namespace that is. */
export const STORE_POD_LABELS = {
  'app.kubernetes.io/name': 'lockstep',
  'app.kubernetes.io/component': 'redis',
} as const;

/** Condition of a launcher pod: it is the one that runs the VM. */
export const LIVE_GATE = `${GROUP}/live`;

/** Container of the sidecar in a launcher pod. */
export const SIDECAR_CONTAINER = 'lockstep';
export { PORTS } from '../sidecar/kubevirt/config.js';

export const CA_SECRET = 'lockstep-ca';
export const INJECT_WEBHOOK = 'lockstep-inject';
export const VALIDATE_WEBHOOK = 'lockstep-validate';

/** A DNS label, with room left for what is appended. */
const NAME_CHARACTERS_IN_ID = 54;
const UID_DIGITS_IN_ID = 8;

/** The VM in lease and certificates: unique over namespaces, and over a VM that is deleted and made again. */
export const vmIdOf = (name: string, uid: string): string =>
  `${name.slice(0, NAME_CHARACTERS_IN_ID).replace(/-+$/, '')}-${uid.replaceAll('-', '').slice(0, UID_DIGITS_IN_ID)}`;

export const secretNameOf = (vmi: string): string => `${vmi}-lockstep`;

/** An address of the locally administered kind that stays the same for this VM, whichever side runs it. */
export function macOf(uid: string): string {
  const digest = createHash('sha256').update(`mac ${uid}`).digest();
  const bytes = [0x02, ...digest.subarray(0, 5)];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** The machine's UUID, which both sides must have (RFC 9562, version 8: made from a hash). */
export function firmwareUuidOf(uid: string): string {
  const digest = createHash('sha256').update(`firmware ${uid}`).digest().subarray(0, 16);
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x80;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  const hex = digest.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
