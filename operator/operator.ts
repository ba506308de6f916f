// SPDX-License-Identifier: Apache-2.0
/**
 * The operator, put together: informers fill caches, sidecars are watched, and one controller looks at each VM whenever
 * something of it has changed. Only the leader writes; every replica answers the webhooks.
 */
import type { Logger } from 'winston';
import type { Pair } from '../sidecar/io/channel/pki.js';
import { Actor } from './act.js';
import type { Ftvm } from './api/ftvm.js';
import type { Node, Pod, Secret, Service, Vmi } from './api/objects.js';
import { FTVMS, NODES, PODS, SECRETS, SERVICES, VMIS } from './api/resources.js';
import { Authority, Renewed } from './identity.js';
import type { Api } from './kit/api.js';
import { ObjectClient } from './kit/apply.js';
import { Controller, source } from './kit/controller.js';
import { LeaderElection } from './kit/election.js';
import { Expectations } from './kit/expectations.js';
import { fenced } from './kit/fence.js';
import { Informer } from './kit/informer.js';
import { keyOf, type KubeObject, type Resource, type Stored } from './kit/object.js';
import type { QueueEvent } from './kit/queue.js';
import type { Random, Time } from './kit/time.js';
import type { Leases } from './leases.js';
import type { Metrics } from './metrics.js';
import { FIELD_MANAGER, LABELS, MANAGED_BY } from './names.js';
import { Reconciler } from './reconcile.js';
import { Sides } from './sides.js';
import { keptStore, storeReader } from './store.js';
import { secretsOf, World } from './world.js';

export interface OperatorOptions {
  readonly api: Api;
  readonly namespace: string;
  /** Of this process and no other. */
  readonly identity: string;
  readonly storeSecret: string;
  readonly ca: Pair;
  readonly leases: Leases;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly time: Time;
  readonly random: Random;
  readonly wallClock: () => Date;
  /** A mistake in this program: it can no longer be trusted. */
  readonly onBroken: (error: unknown) => void;
}

/** VMs that are looked at at the same time. */
const CONCURRENCY = 4;
/** The operator's own certificate is looked at so often. */
const RENEW_MS = 3_600_000;
const LEASE_NAME = FIELD_MANAGER;

/** The VM that an object belongs to; none for what is nobody's. */
function keysByLabel({ metadata }: KubeObject): string[] {
  const vm = metadata.labels?.[LABELS.vm];
  if (vm === undefined) return [];
  return [keyOf({ metadata: { name: vm, namespace: metadata.namespace } })];
}

export class Operator {
  readonly #informers: readonly Informer<KubeObject>[];
  readonly #vmis: Informer<Vmi>;
  readonly #sides: Sides;
  readonly #controller: Controller;
  readonly #election: LeaderElection;
  readonly #identity: Renewed;
  readonly authority: Authority;

  constructor(private readonly options: OperatorOptions) {
    const { api, time, random, wallClock, ca, logger, metrics, namespace } = options;
    this.authority = new Authority(ca);
    this.#identity = new Renewed(() => this.authority.ofOperator(), wallClock);
    const ftvms = this.#informer<Ftvm>(FTVMS);
    const vmis = this.#informer<Vmi>(VMIS, LABELS.vm);
    const pods = this.#informer<Pod>(PODS, `kubevirt.io=virt-launcher,${LABELS.vm}`);
    const nodes = this.#informer<Node>(NODES);
    const ours = `${LABELS.managedBy}=${MANAGED_BY},${LABELS.vm}`;
    const secrets = this.#informer<Secret>(SECRETS, ours);
    const services = this.#informer<Service>(SERVICES, ours);
    this.#informers = [ftvms, vmis, pods, nodes, secrets, services];
    this.#vmis = vmis;

    const election = new LeaderElection({
      api,
      lease: { name: LEASE_NAME, namespace },
      identity: options.identity,
      time,
      wallClock,
      random,
      won: () => {
        metrics.leading.set(1);
        logger.info('this replica leads', { reason: 'leading' });
        this.#controller.lead().catch(options.onBroken);
      },
      lost: async (reason) => {
        metrics.leading.set(0);
        logger.warn(`this replica leads no more: ${reason}`, { reason: 'notLeading' });
        await this.#controller.retire();
      },
    });
    this.#election = election;
    const client = new ObjectClient(fenced(api, election), { fieldManager: FIELD_MANAGER });
    const own = {
      ftvms: new Expectations<Ftvm>({ informer: ftvms, time }),
      vmis: new Expectations<Vmi>({ informer: vmis, time }),
      pods: new Expectations<Pod>({ informer: pods, time }),
      secrets: new Expectations<Secret>({ informer: secrets, time }),
      services: new Expectations<Service>({ informer: services, time }),
    };
    const caches = { ftvms, vmis, pods, nodes, secrets, services };
    const named = storeReader({ client, namespace, defaultName: options.storeSecret });
    const storeOf = keptStore(named, (ftvm) => secretsOf(ftvm, caches));
    this.#sides = new Sides(
      {
        time,
        random,
        tls: () => this.#identity.current,
        wake: (key) => this.#controller.enqueue(key),
      },
      options.onBroken,
    );
    const sides = this.#sides;
    const { leases } = options;
    const reconciler = new Reconciler({
      ftvms,
      world: new World({ caches, sides, leases, storeOf, live: client, wallClock }),
      actor: new Actor({ client, caches, own, sides, leases, authority: this.authority, storeOf, wallClock }),
      sides,
      client,
      own: own.ftvms,
      logger,
      onStatus: (key, status) => metrics.show(key, status),
    });
    this.#controller = new Controller({
      sources: [
        source(ftvms, (ftvm) => [keyOf(ftvm)]),
        source(vmis, keysByLabel),
        source(pods, keysByLabel),
        source(secrets, keysByLabel),
        source(services, keysByLabel),
        // A node that comes or goes concerns whoever has a side on it.
        source(nodes, ({ metadata }) => this.#vmsOn(pods, metadata.name)),
      ],
      reconcile: reconciler.reconcile,
      concurrency: CONCURRENCY,
      time,
      random,
      expectations: Object.values(own),
      leader: election,
      observe: (event) => this.#observe(event),
    });
  }

  /** Resolves when the caches are filled; leads from when it has won the lead. */
  async start(): Promise<void> {
    await this.#identity.renew();
    this.#renewLater();
    for (const informer of this.#informers) informer.start();
    await Promise.all(this.#informers.map((informer) => informer.waitSynced()));
    this.#election.start();
  }

  /** Gives the lead back; what is under way ends first. */
  async stop(): Promise<void> {
    await this.#election.stop();
    this.#sides.stop();
    await Promise.all(this.#informers.map((informer) => informer.stop()));
  }

  get isSynced(): boolean {
    return this.#informers.every(({ synced }) => synced);
  }

  /** For the webhook that refuses migrations. */
  isOurs(namespace: string, vmi: string): boolean {
    return this.#vmis.get(`${namespace}/${vmi}`) !== undefined;
  }

  #informer<T extends KubeObject>(resource: Resource, labelSelector?: string): Informer<T> {
    const { api, time, random, logger } = this.options;
    return new Informer<T>({
      api,
      resource,
      ...(labelSelector === undefined ? {} : { labelSelector }),
      time,
      random,
      observe: (event) => {
        if (event.type === 'failed') {
          logger.warn(`${resource.plural}: ${String(event.error)}`, { reason: 'watchFailed' });
        } else if (event.type === 'handlerFailed') this.options.onBroken(event.error);
      },
    });
  }

  /** A node's heartbeat changes it every few seconds: only whether it is ready is news. */
  #vmsOn(pods: Informer<Pod>, node: string): string[] {
    return pods
      .list()
      .filter(({ spec }) => spec?.nodeName === node)
      .flatMap((pod: Stored<Pod>) => keysByLabel(pod));
  }

  #renewLater(): void {
    this.options.time.after(RENEW_MS, () => {
      this.#identity.renew().then(() => this.#renewLater(), this.options.onBroken);
    });
  }

  #observe(event: QueueEvent): void {
    const { logger, metrics } = this.options;
    if (event.type !== 'ended') return;
    const { result, key } = event;
    metrics.reconciles.inc({ outcome: result.kind });
    if (result.kind !== 'failed') return;
    const words = result.error instanceof Error ? result.error.message : String(result.error);
    logger.warn(words, { vm: key, reason: 'reconcileFailed' });
  }
}
