// SPDX-License-Identifier: Apache-2.0
/**
 * The operator as it is, over stand-ins of all that surrounds it: an API server, a cluster, sidecars, a lease store. It
 * can be killed at any write and started again, look at caches that stand still, and be there twice.
 */
import { createLogger } from 'winston';
import { Actor, type Held, type OwnWrites } from '../act.js';
import type { Ftvm, StoredFtvm } from '../api/ftvm.js';
import { base64 } from '../api/base64.js';
import type { Secret } from '../api/objects.js';
import { EVENTS, FTVMS, NODES, PODS, SECRETS, SERVICES, VMIS } from '../api/resources.js';
import type { Effect } from '../effects.js';
import { Authority } from '../identity.js';
import type { Api, ApiRequest } from '../kit/api.js';
import { ObjectClient } from '../kit/apply.js';
import { isApiError } from '../kit/errors.js';
import { keyOf, refOf, type KubeObject, type Resource, type Stored } from '../kit/object.js';
import { RestApi } from '../kit/rest.js';
import { FakeApi } from '../kit/test/fake-api.js';
import type { Leases } from '../leases.js';
import { FIELD_MANAGER } from '../names.js';
import { Reconciler } from '../reconcile.js';
import { NoPeerError } from '../resources/secret.js';
import { storeReader } from '../store.js';
import { World, type Cache, type Caches } from '../world.js';
import { makeCa, type Pair } from '../../sidecar/io/channel/pki.js';
import { CallError, type Command } from '../../sidecar/kubevirt/client.js';
import { FakeCluster, NAMESPACE } from './cluster.js';
import { SPEC } from './samples.js';

export const VM = 'db';
export const KEY = `${NAMESPACE}/${VM}`;
const CACHED = { ftvms: FTVMS, vmis: VMIS, pods: PODS, nodes: NODES, secrets: SECRETS, services: SERVICES };

const CACHE_NAMES = Object.keys(CACHED) as (keyof typeof CACHED)[];

/** The process was killed: nothing that it was about to do is done. */
export class Killed extends Error {
  readonly code = 'TEST_KILLED';
}

/** Counts what an operator does to the world, and kills it at the nth of it, or at the first effect of a kind. */
export class Lifeline {
  done = 0;
  #wasKilled = false;

  /**
   * @param diesAt number of what it does, from 1, or a kind of effect; never if not given. `after`: it was done, and
   * nobody was told
   */
  constructor(
    private readonly diesAt: number | Effect['type'] = Infinity,
    private readonly when: 'before' | 'after' = 'after',
  ) {}

  isDead(): boolean {
    return this.#wasKilled || (typeof this.diesAt === 'number' && this.done >= this.diesAt);
  }

  /** One effect of a decision, as a whole. */
  async decided(type: Effect['type'], carryOut: () => Promise<void>): Promise<void> {
    if (type !== this.diesAt || this.isDead()) return carryOut();
    if (this.when === 'after') await carryOut();
    this.#wasKilled = true;
    throw new Killed(`killed at ${type}`);
  }

  async effect<T>(act: () => Promise<T> | T): Promise<T> {
    if (this.isDead()) throw new Killed('it is dead already');
    this.done += 1;
    if (!this.isDead()) return act();
    if (this.when === 'after') await act();
    throw new Killed(`killed at the ${this.done}th`);
  }
}

class MortalApi implements Api {
  constructor(
    private readonly api: Api,
    private readonly line: Lifeline,
  ) {}

  call(request: ApiRequest): Promise<unknown> {
    return request.method === 'GET' ? this.api.call(request) : this.line.effect(() => this.api.call(request));
  }

  stream(request: ApiRequest): Promise<AsyncIterable<string>> {
    return this.api.stream(request);
  }
}

/** What an informer would show: all that is there, or what was there when it stopped being told. */
export class FakeCache<T extends KubeObject> implements Cache<T> {
  #frozen: readonly Stored<T>[] | null = null;

  constructor(
    private readonly api: FakeApi,
    private readonly resource: Resource,
  ) {}

  freeze(): void {
    this.#frozen = this.#fresh();
  }

  thaw(): void {
    this.#frozen = null;
  }

  list(): readonly Stored<T>[] {
    return this.#frozen ?? this.#fresh();
  }

  get(key: string): Stored<T> | undefined {
    return this.list().find((object) => keyOf(object) === key);
  }

  #fresh(): readonly Stored<T>[] {
    return structuredClone(this.api.list<T>(this.resource));
  }
}

export type FakeCaches = {
  readonly [Name in keyof Caches]: Caches[Name] & Pick<FakeCache<KubeObject>, 'freeze' | 'thaw'>;
};

/** One process of the operator. */
export class FakeOperator {
  readonly caches: FakeCaches;
  readonly line: Lifeline;
  readonly #reconciler: Reconciler;
  /** What looks have failed with, other than by being killed or by coming too late. */
  readonly failures: string[] = [];

  constructor(installation: Installation, line = new Lifeline()) {
    this.line = line;
    const { api, cluster, authority, rest } = installation;
    const caches = Object.fromEntries(
      Object.entries(CACHED).map(([name, resource]) => [name, new FakeCache(api, resource)]),
    );
    this.caches = caches as unknown as FakeCaches;
    const client = new ObjectClient(new MortalApi(rest, line), { fieldManager: FIELD_MANAGER });
    const wallClock = (): Date => cluster.now();
    const storeOf = storeReader({ client, namespace: STORE.namespace, defaultName: STORE.name });
    const sides = sidesOf(cluster, line);
    const leases = leasesOf(cluster, line);
    const world = new World({ caches: this.caches, sides, leases, storeOf, live: client, wallClock });
    const actor = new Actor({
      client,
      caches: this.caches,
      own: SHOWN_AT_ONCE,
      sides,
      leases,
      authority,
      storeOf,
      wallClock,
    });
    this.#reconciler = new Reconciler({
      ftvms: this.caches.ftvms,
      world,
      actor: {
        carryOut: (ftvm, effect) => line.decided(effect.type, () => actor.carryOut(ftvm, effect)),
        renew: (ftvm, known) => actor.renew(ftvm, known),
      },
      sides,
      client,
      own: shown,
      logger: createLogger({ silent: true }),
      onStatus: () => undefined,
      suffix: () => installation.suffix(),
    });
  }

  freeze(): void {
    for (const name of CACHE_NAMES) this.caches[name].freeze();
  }

  thaw(): void {
    for (const name of CACHE_NAMES) this.caches[name].thaw();
  }

  /** One look; false when it was killed. */
  async look(key = KEY): Promise<boolean> {
    try {
      await this.#reconciler.reconcile(key);
    } catch (error) {
      if (error instanceof Killed || this.line.isDead()) return false;
      const passes =
        error instanceof NoPeerError || error instanceof CallError || isApiError(error, 'Conflict');
      if (!passes) this.failures.push((error as Error).message);
    }
    return !this.line.isDead();
  }
}

const shown: Held = {
  write: (_key, perform) => perform(),
  create: (_key, perform) => perform(),
  remove: (_key, _uid, perform) => perform(),
};
/** The caches stand for informers that have shown each own write already. */
const SHOWN_AT_ONCE: OwnWrites = { ftvms: shown, vmis: shown, pods: shown, secrets: shown, services: shown };

/** Of one process: it begins to ask when it begins. */
function sidesOf(cluster: FakeCluster, line: Lifeline) {
  const heardMs = new Map<string, number>();
  return {
    follow: () => undefined,
    keepOnly: () => undefined,
    look: (podUid: string) => {
      const nowMs = cluster.now().getTime();
      const status = cluster.heard(podUid)?.status ?? null;
      if (status !== null || !heardMs.has(podUid)) heardMs.set(podUid, nowMs);
      return { status, silentMs: nowMs - (heardMs.get(podUid) ?? nowMs), asked: true };
    },
    order: (podUid: string, command: Command) =>
      line.effect(() => {
        const sidecar = cluster.heard(podUid);
        if (sidecar === null) throw new CallError('UNREACHABLE', 'no answer');
        sidecar.command(command);
      }),
  };
}

export function leasesOf(cluster: FakeCluster, line = new Lifeline()): Leases {
  const { store } = cluster;
  return {
    peek: () => {
      if (!store.up) return Promise.resolve({ kind: 'unknown', reason: 'unreachable' });
      const { record } = store;
      return Promise.resolve(record === null ? { kind: 'missing' } : { kind: 'present', record });
    },
    remove: () =>
      line.effect(() => {
        if (!store.up) throw new Error('the store is away');
        store.flush();
      }),
  };
}

export interface RecordedEvent {
  readonly type: string;
  readonly reason: string;
  readonly note: string;
}

/** The Secret of the lease store. */
export const STORE = { namespace: 'lockstep-system', name: 'lockstep-store' };

/** One cluster with the operator's resources in it. */
export class Installation {
  readonly cluster: FakeCluster;
  readonly authority: Authority;
  readonly rest: RestApi;
  /** VMIs that were made, oldest first, with their roles. */
  readonly made: string[] = [];
  /** Deletions of what ran the VM, while the VM was wanted. */
  readonly crimes: string[] = [];
  #suffixes = 0;

  private constructor(
    readonly api: FakeApi,
    readonly ca: Pair,
    nodes: readonly string[],
    addressOf?: (pod: number) => string,
  ) {
    this.authority = new Authority(ca);
    this.cluster = new FakeCluster(api, nodes, addressOf);
    this.rest = new RestApi(api.kubeConfig());
    this.putStoreSecret({ host: 'store.test' });
    api.admit((operation, object, request) => {
      const { kind } = object as { kind?: string };
      const metadata = object['metadata'] as KubeObject['metadata'];
      if (operation === 'CREATE' && request.path.endsWith(`/${VMIS.plural}`)) this.made.push(metadata.name);
      if (operation === 'DELETE' && (kind === VMIS.kind || kind === PODS.kind)) this.#judge(metadata);
      return null;
    });
  }

  static async start(
    nodes: readonly string[] = ['node-a', 'node-b', 'node-c'],
    addressOf?: (pod: number) => string,
  ): Promise<Installation> {
    return new Installation(await FakeApi.start(), await theCa(), nodes, addressOf);
  }

  async close(): Promise<void> {
    this.rest.close();
    await this.api.close();
  }

  /** Different for each, and the same in each run of a test. */
  suffix(): string {
    this.#suffixes += 1;
    return this.#suffixes.toString(16).padStart(4, '0');
  }

  apply(changes: Partial<Ftvm['spec']> = {}): void {
    const there = this.find();
    const metadata = there?.metadata ?? { name: VM, namespace: NAMESPACE, generation: 1 };
    this.api.put<Ftvm>(FTVMS, { ...there, metadata, spec: { ...SPEC, ...changes } });
  }

  annotate(annotations: Readonly<Record<string, string>>): void {
    const there = this.vm;
    this.api.put<Ftvm>(FTVMS, { ...there, metadata: { ...there.metadata, annotations } });
  }

  /** Values as text. */
  putStoreSecret(values: Readonly<Record<string, string>>): void {
    const data = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, base64(value)]));
    this.api.put<Secret>(SECRETS, { metadata: STORE, data });
  }

  /** What `kubectl describe` shows of the VM's past. */
  get events(): readonly RecordedEvent[] {
    return this.api.list(EVENTS, NAMESPACE) as unknown as readonly RecordedEvent[];
  }

  delete(): void {
    const table = `apis/${FTVMS.group}/${FTVMS.version}/${FTVMS.plural}`;
    this.api.store.delete({ table, namespace: NAMESPACE, name: VM }, {}, null);
  }

  find(): StoredFtvm | undefined {
    return this.api.find<Ftvm>(FTVMS, refOf(KEY));
  }

  /** @throws Error when it is gone */
  get vm(): StoredFtvm {
    const vm = this.find();
    if (vm === undefined) throw new Error(`${KEY} is gone`);
    return vm;
  }

  #judge({ name, uid, labels }: KubeObject['metadata']): void {
    const vm = this.find();
    if (vm === undefined || vm.metadata.deletionTimestamp !== undefined) return;
    const hit = this.cluster.owners.find(
      ({ place, nonce }) =>
        (place.podUid === uid || place.vmi === name || place.vmi === labels?.['lockstep.dev/vmi']) &&
        this.#mayOwn(nonce),
    );
    if (hit !== undefined) this.crimes.push(`${name} was deleted while it ran the VM as ${hit.phase}`);
  }

  /** By the lease. */
  #mayOwn(nonce: string | null): boolean {
    const { record } = this.cluster.store;
    if (record === null || nonce === null) return true;
    return record.winner === null ? [record.primary, record.backup].includes(nonce) : record.winner === nonce;
  }
}

let ca: Promise<Pair> | null = null;

/** One for all tests: keys take their time. */
function theCa(): Promise<Pair> {
  ca ??= makeCa('lockstep');
  return ca;
}
