// SPDX-License-Identifier: Apache-2.0
/** Replicas of the operator as main.ts puts it together: informers, election, watches of sidecars. Time moves by hand. */
import { createLogger } from 'winston';
import { LEASES, type Lease } from '../kit/lease.js';
import { RestApi } from '../kit/rest.js';
import { FakeProcess } from '../kit/test/fake-process.js';
import { FakeTime } from '../kit/test/fake-time.js';
import { Metrics } from '../metrics.js';
import { FIELD_MANAGER } from '../names.js';
import { Operator } from '../operator.js';
import { told, type Until } from './driver.js';
import { leasesOf, STORE, type Installation } from './installation.js';
import { Stations } from './stations.js';

/** So much time passes while what is on loopback gets one turn. */
const TURN_MS = 20;
/** The cluster moves on by a step of its own every so many turns. */
const TURNS_PER_STEP = 25;
const GIVE_UP_AFTER_MS = 300_000;

/** One process. */
export class Replica {
  readonly process: FakeProcess;
  readonly operator: Operator;
  readonly #rest: RestApi;
  /** Mistakes in the program. */
  readonly broken: unknown[] = [];

  constructor(
    readonly identity: string,
    installation: Installation,
    time: FakeTime,
  ) {
    this.#rest = new RestApi(installation.api.kubeConfig());
    this.process = new FakeProcess(time, this.#rest);
    this.operator = new Operator({
      api: this.process,
      namespace: STORE.namespace,
      identity,
      storeSecret: STORE.name,
      ca: installation.ca,
      leases: leasesOf(installation.cluster),
      metrics: new Metrics(),
      logger: createLogger({ silent: true }),
      time: this.process.time,
      random: () => 0.5,
      wallClock: () => installation.cluster.now(),
      onBroken: (error) => this.broken.push(error),
    });
  }

  async stop(): Promise<void> {
    await this.process.resume();
    await this.operator.stop();
    this.#rest.close();
  }
}

export class Replicas {
  readonly #time = new FakeTime();
  readonly #stations: Stations;
  readonly #all = new Set<Replica>();
  readonly broken: unknown[] = [];
  /** Moments at which more than one side ran the VM. */
  readonly doubles: string[] = [];
  #turns = 0;

  constructor(private readonly installation: Installation) {
    this.#stations = new Stations(installation);
  }

  get refused(): readonly string[] {
    return this.#stations.refused;
  }

  /** Who leads, as the lease says; '' when nobody does. */
  get leader(): string {
    const lease = this.installation.api.find<Lease>(LEASES, { ...STORE, name: FIELD_MANAGER });
    return lease?.spec?.holderIdentity ?? '';
  }

  async start(identity: string): Promise<Replica> {
    const replica = new Replica(identity, this.installation, this.#time);
    this.#all.add(replica);
    await replica.operator.start();
    return replica;
  }

  async stop(replica: Replica): Promise<void> {
    this.#all.delete(replica);
    await replica.stop();
    this.broken.push(...replica.broken);
  }

  async close(): Promise<void> {
    for (const replica of [...this.#all]) await this.stop(replica);
    await this.#stations.close();
  }

  /** @throws Error that tells what there was instead */
  async until({ what, is }: Until): Promise<void> {
    const giveUpMs = this.#time.now() + GIVE_UP_AFTER_MS;
    while (!is(this.installation)) {
      if (this.#time.now() > giveUpMs)
        throw new Error(`not ${what}; ${this.leader} leads; ${told(this.installation)}`);
      await this.#turn();
    }
  }

  async pass(ms: number): Promise<void> {
    const untilMs = this.#time.now() + ms;
    while (this.#time.now() < untilMs) await this.#turn();
  }

  async #turn(): Promise<void> {
    const { cluster } = this.installation;
    this.#turns += 1;
    if (this.#turns % TURNS_PER_STEP === 0) {
      cluster.step();
      if (cluster.owners.length > 1) this.doubles.push(told(this.installation));
      await this.#stations.follow();
    }
    await this.#time.advance(TURN_MS);
    // What is under way on loopback moves on by it.
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
