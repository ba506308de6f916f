// SPDX-License-Identifier: Apache-2.0
/** Gathers what there is of one VM: from the informers' caches, the sidecars' last words, and where need be the lease. */
import { LEASE_DEFAULTS, leaseKey } from '../sidecar/io/lease/redis.js';
import type { Ftvm, Side, StoredFtvm } from './api/ftvm.js';
import type { Node, Pod, Secret, Service, Vmi } from './api/objects.js';
import { VMIS } from './api/resources.js';
import type { ObjectClient } from './kit/apply.js';
import { keyOf, type KubeObject, type Stored } from './kit/object.js';
import { ANNOTATIONS, LABELS, vmIdOf } from './names.js';
import { NOT_ASKED, type LeaseView, type Observation, type RawSide } from './observe.js';
import type { Leases } from './leases.js';
import { NoStoreError, type StoreOf } from './store.js';
import type { Sides } from './sides.js';

/** A cache of one kind, as an informer has it. */
export interface Cache<T extends KubeObject> {
  get(key: string): Stored<T> | undefined;
  list(): readonly Stored<T>[];
}

export interface Caches {
  readonly ftvms: Cache<Ftvm>;
  readonly vmis: Cache<Vmi>;
  readonly pods: Cache<Pod>;
  readonly nodes: Cache<Node>;
  readonly secrets: Cache<Secret>;
  readonly services: Cache<Service>;
}

export interface WorldPorts {
  readonly caches: Caches;
  readonly sides: Pick<Sides, 'follow' | 'keepOnly' | 'look'>;
  readonly leases: Pick<Leases, 'peek'>;
  /** The store of this VM. @throws Error that says which Secret is not as it must be */
  readonly storeOf: StoreOf;
  /** The API server itself: caches may be late, and what they do not show need not be gone. */
  readonly live: Pick<ObjectClient, 'find'>;
  readonly wallClock: () => Date;
}

/** `waiting`: a sidecar has not been asked yet, and nothing may be concluded from its silence. */
export type Gathered =
  { readonly kind: 'seen'; readonly observation: Observation } | { readonly kind: 'waiting' };

const belongsTo = (object: KubeObject, { metadata }: StoredFtvm): boolean =>
  object.metadata.namespace === metadata.namespace && object.metadata.labels?.[LABELS.vm] === metadata.name;

/** Of an earlier VM of the same name: its owner is gone, and so will it be. */
const ownedBy = ({ metadata }: KubeObject, ftvm: StoredFtvm): boolean =>
  (metadata.ownerReferences ?? []).some(({ uid }) => uid === ftvm.metadata.uid);

/** Of its sides. */
export const secretsOf = (
  ftvm: StoredFtvm,
  { secrets }: Pick<Caches, 'secrets'>,
): readonly Stored<Secret>[] =>
  secrets.list().filter((secret) => belongsTo(secret, ftvm) && ownedBy(secret, ftvm));

/** The kubelet of a node is heard. A node that is not there any more is none. */
function isReady(node: Node | undefined): boolean {
  return (node?.status?.conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True');
}

/** Those that status names, and any that it does not: a status can be lost with a backup of the cluster. */
function sidesOf(ftvm: StoredFtvm, vmis: readonly Stored<Vmi>[]): Side[] {
  const known = ftvm.status?.sides ?? [];
  const strays = vmis.filter((vmi) => !known.some((side) => side.vmi === vmi.metadata.name));
  return [
    ...known,
    ...strays.map(({ metadata }): Side => {
      const role = metadata.annotations?.[ANNOTATIONS.startedAs] === 'primary' ? 'primary' : 'backup';
      return { vmi: metadata.name, role, uid: metadata.uid, sinceEpoch: ftvm.status?.epoch ?? 0 };
    }),
  ];
}

/** The launcher pod that counts: KubeVirt may leave a finished one beside it. */
function podOf(vmi: string, pods: readonly Stored<Pod>[]): Stored<Pod> | null {
  const all = pods.filter((pod) => pod.metadata.labels?.[LABELS.vmi] === vmi);
  const over = (pod: Pod): boolean => pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded';
  return all.find((pod) => !over(pod)) ?? all[0] ?? null;
}

/** The lease is asked only about what cannot be known otherwise: who won, when somebody does not say it himself. */
function mustAsk(ftvm: StoredFtvm, sides: readonly RawSide[]): boolean {
  if (ftvm.metadata.deletionTimestamp !== undefined) return true;
  return (
    sides.length === 0 || sides.some(({ status }) => status?.stage !== 'running' || status.role === 'ended')
  );
}

export class World {
  constructor(private readonly ports: WorldPorts) {}

  async gather(ftvm: StoredFtvm): Promise<Gathered> {
    const { caches, sides: sidecars, wallClock } = this.ports;
    const key = keyOf(ftvm);
    const vmis = caches.vmis.list().filter((vmi) => belongsTo(vmi, ftvm) && ownedBy(vmi, ftvm));
    const pods = caches.pods.list().filter((pod) => belongsTo(pod, ftvm));
    const cached = sidesOf(ftvm, vmis).map((side) => this.#raw(ftvm, side, vmis, pods));
    const sides = await Promise.all(cached.map((side) => this.#confirmed(ftvm, side)));
    sidecars.keepOnly(key, new Set(sides.flatMap(({ pod }) => (pod === null ? [] : [pod.metadata.uid]))));
    if (sides.some(({ asked }) => !asked)) return { kind: 'waiting' };
    const lease = mustAsk(ftvm, sides) ? await this.#lease(ftvm) : NOT_ASKED;
    const secrets = secretsOf(ftvm, caches);
    return { kind: 'seen', observation: { ftvm, sides, secrets, lease, now: wallClock() } };
  }

  #raw(
    ftvm: StoredFtvm,
    side: Side,
    vmis: readonly Stored<Vmi>[],
    pods: readonly Stored<Pod>[],
  ): RawSide & { readonly asked: boolean } {
    const pod = podOf(side.vmi, pods);
    const node = pod?.spec?.nodeName;
    return {
      side,
      vmi: vmis.find(({ metadata }) => metadata.name === side.vmi) ?? null,
      pod,
      nodeReady: node === undefined ? null : isReady(this.ports.caches.nodes.get(node)),
      ...this.#said(ftvm, pod),
    };
  }

  /** Nothing of it is in the caches: only the API server can say that there is nothing. */
  async #confirmed<T extends RawSide>(ftvm: StoredFtvm, raw: T): Promise<T> {
    if (raw.vmi !== null || raw.pod !== null) return raw;
    const ref = { name: raw.side.vmi, namespace: ftvm.metadata.namespace };
    const vmi = await this.ports.live.find<Vmi>(VMIS, ref);
    return vmi === null || !ownedBy(vmi, ftvm) ? raw : { ...raw, vmi };
  }

  /** A pod that does not run has nobody who could be asked. */
  #said(
    ftvm: StoredFtvm,
    pod: Stored<Pod> | null,
  ): Pick<RawSide, 'status' | 'silentMs'> & { readonly asked: boolean } {
    const host = pod?.status?.podIP;
    if (pod === null || host === undefined || pod.status?.phase !== 'Running')
      return { status: null, silentMs: 0, asked: true };
    const { name, uid } = ftvm.metadata;
    this.ports.sides.follow({ podUid: pod.metadata.uid, host, vmId: vmIdOf(name, uid), key: keyOf(ftvm) });
    return this.ports.sides.look(pod.metadata.uid);
  }

  async #lease(ftvm: StoredFtvm): Promise<LeaseView> {
    const vmId = vmIdOf(ftvm.metadata.name, ftvm.metadata.uid);
    try {
      return await this.ports.leases.peek(vmId, await this.ports.storeOf(ftvm));
    } catch (error) {
      const reason = (error as Error).message;
      if (!(error instanceof NoStoreError)) return { kind: 'unknown', reason };
      return { kind: 'noStore', reason, key: leaseKey(LEASE_DEFAULTS.keyPrefix, vmId) };
    }
  }
}
