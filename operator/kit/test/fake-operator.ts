// SPDX-License-Identifier: Apache-2.0
/**
 * A whole operator made of the kit, as small as one can be and as easy to break: for each widget there shall be one
 * ConfigMap, under a name drawn anew each time. Nothing but the cache tells that it is there already, so who decides
 * on an old cache, or beside another, makes a second one.
 */
import { ObjectClient } from '../apply.js';
import { Controller, source } from '../controller.js';
import { LeaderElection } from '../election.js';
import { Expectations } from '../expectations.js';
import { fenced } from '../fence.js';
import { Informer } from '../informer.js';
import { keyOf, type Stored } from '../object.js';
import { done, type Outcome } from '../outcome.js';
import { RestApi } from '../rest.js';
import type { FakeApi } from './fake-api.js';
import { FakeProcess } from './fake-process.js';
import type { FakeTime } from './fake-time.js';
import { CONFIG_MAPS, WIDGETS, type ConfigMap, type Widget } from './resources.js';

export interface OperatorFlaws {
  /** Decides although the cache does not show its own last write. */
  readonly forgetsOwnWrites?: boolean;
  /** Writes although its lead is over. */
  readonly writesUnfenced?: boolean;
  /** Begins to lead on the cache that it has. */
  readonly leadsOnOldCache?: boolean;
}

const random = (): number => 0.5;
let names = 0;

export class FakeOperator {
  readonly process: FakeProcess;
  readonly election: LeaderElection;
  readonly #rest: RestApi;
  readonly #widgets: Informer<Widget>;
  readonly #maps: Informer<ConfigMap>;
  readonly #writes: Expectations<ConfigMap>;
  readonly #client: ObjectClient;
  readonly #controller: Controller;
  readonly errors: unknown[] = [];

  constructor(identity: string, server: FakeApi, base: FakeTime, flaws: OperatorFlaws = {}) {
    this.#rest = new RestApi(server.kubeConfig());
    this.process = new FakeProcess(base, this.#rest);
    const { process } = this;
    const { time } = process;
    this.#widgets = new Informer<Widget>({ api: process, resource: WIDGETS, time, random });
    this.#maps = new Informer<ConfigMap>({ api: process, resource: CONFIG_MAPS, time, random });
    this.#writes = new Expectations({ informer: this.#maps, time });
    this.election = new LeaderElection({
      api: process,
      lease: { namespace: 'system', name: 'operator' },
      identity,
      time,
      wallClock: () => new Date(base.now()),
      random,
      won: () => {
        this.#controller.lead().catch((error: unknown) => this.errors.push(error));
      },
      lost: () => this.#controller.retire(),
    });
    const api = flaws.writesUnfenced === true ? process : fenced(process, this.election);
    this.#client = new ObjectClient(api, { fieldManager: 'operator' });
    const maps = source(this.#maps, ownersOf);
    const fresh = (): Promise<void> => this.#maps.waitSynced();
    this.#controller = new Controller({
      sources: [
        source(this.#widgets, (widget) => [keyOf(widget)]),
        flaws.leadsOnOldCache === true ? { ...maps, fresh } : maps,
      ],
      reconcile: (key) => this.#reconcile(key),
      concurrency: 2,
      time,
      random,
      expectations: flaws.forgetsOwnWrites === true ? [] : [this.#writes],
      leader: flaws.writesUnfenced === true ? { holds: () => true } : this.election,
    });
    this.#widgets.start();
    this.#maps.start();
    this.election.start();
  }

  /** Gone from one moment to the next, as by SIGKILL: nothing is given back. */
  async kill(): Promise<void> {
    await this.process.die();
    await this.#end();
  }

  async stop(): Promise<void> {
    await this.process.resume();
    await this.#end();
  }

  async #reconcile(key: string): Promise<Outcome> {
    const widget = this.#widgets.get(key);
    const maps = this.#maps.list().filter((map) => ownersOf(map).includes(key));
    const namespace = 'default';
    if (widget === undefined) {
      for (const { metadata } of maps) {
        const remove = (): Promise<'deleted' | 'absent'> =>
          this.#client.delete(CONFIG_MAPS, { namespace, name: metadata.name }, { uid: metadata.uid });
        await this.#writes.remove(key, metadata.uid, remove);
      }
    } else if (maps.length === 0) {
      const map: ConfigMap = { metadata: { namespace, name: `map-${++names}` }, data: { owner: key } };
      await this.#writes.create(key, () => this.#client.createIfAbsent<ConfigMap>(CONFIG_MAPS, map));
    }
    return done;
  }

  async #end(): Promise<void> {
    this.#writes.close();
    await Promise.all([this.#widgets.stop(), this.#maps.stop(), this.election.stop()]);
    this.#rest.close();
  }
}

export function ownersOf({ data }: Stored<ConfigMap>): readonly string[] {
  return data?.['owner'] === undefined ? [] : [data['owner']];
}
