// SPDX-License-Identifier: Apache-2.0
/** The Lease of coordination.k8s.io/v1 as an election reads and writes it. */
import type { KubeObject, Ref, Resource, Stored } from './object.js';
import type { LeaseRecord } from './tenure.js';

export const LEASES: Resource = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};

export interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

const MS_PER_S = 1_000;

export function recordOf({ metadata, spec = {} }: Stored<Lease>): LeaseRecord {
  const { holderIdentity = '', leaseDurationSeconds = 0 } = spec;
  return {
    version: `${metadata.uid} ${metadata.resourceVersion}`,
    holder: holderIdentity,
    durationMs: leaseDurationSeconds > 0 ? leaseDurationSeconds * MS_PER_S : null,
  };
}

export interface Claim {
  readonly identity: string;
  readonly durationMs: number;
  /** For people, and for other programs that look at the lease. */
  readonly now: Date;
}

export function newLease({ name, namespace }: Ref, claim: Claim): Lease {
  const time = microTime(claim.now);
  return {
    metadata: namespace === undefined ? { name } : { name, namespace },
    spec: { ...claimed(claim), acquireTime: time, renewTime: time, leaseTransitions: 0 },
  };
}

/** The lease with our claim; all else stays as it is. */
export function claimedLease(lease: Stored<Lease>, claim: Claim): Stored<Lease> {
  const { spec = {} } = lease;
  const isOurs = spec.holderIdentity === claim.identity;
  const time = microTime(claim.now);
  const term = isOurs ? {} : { acquireTime: time, leaseTransitions: (spec.leaseTransitions ?? 0) + 1 };
  return { ...lease, spec: { ...spec, ...claimed(claim), ...term, renewTime: time } };
}

/** Nobody holds it: the next one need not wait. */
export function releasedLease(lease: Stored<Lease>, now: Date): Stored<Lease> {
  return {
    ...lease,
    spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime(now) },
  };
}

function claimed({ identity, durationMs }: Claim): { holderIdentity: string; leaseDurationSeconds: number } {
  return { holderIdentity: identity, leaseDurationSeconds: durationMs / MS_PER_S };
}

/** MicroTime of meta/v1: six digits. */
function microTime(now: Date): string {
  return now.toISOString().replace('Z', '000Z');
}
