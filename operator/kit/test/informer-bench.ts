// SPDX-License-Identifier: Apache-2.0
/** An informer at a stand-in of an API server, and what it told. */
import { expect } from 'chai';
import { Informer, type InformerEvent, type InformerOptions } from '../informer.js';
import type { Stored } from '../object.js';
import { RestApi } from '../rest.js';
import { FakeApi } from './fake-api.js';
import { FakeTime } from './fake-time.js';
import { CONFIG_MAPS, configMap, type ConfigMap } from './resources.js';
import { until } from './until.js';

export class InformerBench {
  server!: FakeApi;
  api!: RestApi;
  time!: FakeTime;
  informer!: Informer<ConfigMap>;
  told: string[] = [];
  events: InformerEvent[] = [];

  readonly open = async (): Promise<void> => {
    this.server = await FakeApi.start();
    this.api = new RestApi(this.server.kubeConfig());
    this.time = new FakeTime();
    this.told = [];
    this.events = [];
  };

  readonly close = async (): Promise<void> => {
    await this.informer.stop();
    expect(this.time.pending, 'timers left').to.equal(0);
    this.api.close();
    await this.server.close();
  };

  readonly make = (options: Partial<InformerOptions> = {}): Informer<ConfigMap> => {
    this.informer = new Informer<ConfigMap>({
      api: this.api,
      resource: CONFIG_MAPS,
      time: this.time,
      random: () => 0,
      observe: (event) => this.events.push(event),
      ...options,
    });
    this.informer.on({
      add: (object) => this.told.push(`add ${wordOf(object)}`),
      update: (object, before) => this.told.push(`update ${wordOf(before)} ${wordOf(object)}`),
      delete: (last) => this.told.push(`delete ${wordOf(last)}`),
    });
    return this.informer;
  };

  readonly started = async (options: Partial<InformerOptions> = {}): Promise<void> => {
    this.make(options).start();
    await this.informer.waitSynced();
    await this.watching();
  };

  readonly watching = (): Promise<void> =>
    until('a watch is open', () => this.server.watches.length > 0, this.time);

  readonly has = (...words: string[]): Promise<void> => {
    const cached = (): string => this.informer.list().map(wordOf).sort().join(' ');
    return until(`the cache has ${words.join(' ')}`, () => cached() === words.join(' '), this.time);
  };

  readonly put = (name: string, text = '1'): Stored<ConfigMap> =>
    this.server.put(CONFIG_MAPS, configMap(name, { text }));

  readonly remove = (name: string): void => this.server.remove(CONFIG_MAPS, { namespace: 'default', name });

  readonly count = (type: InformerEvent['type']): number =>
    this.events.filter((event) => event.type === type).length;

  readonly reasons = (): string[] =>
    this.events.flatMap((event) => (event.type === 'relisted' ? [event.reason] : []));

  readonly retries = (): number[] =>
    this.events.flatMap((event) => (event.type === 'failed' ? [event.retryMs] : []));
}

/** `name=text` */
export function wordOf({ metadata, data }: ConfigMap): string {
  return `${metadata.name}=${data?.['text'] ?? ''}`;
}

interface Asked {
  readonly method: string;
  readonly isWatch: boolean;
}

export const isList = ({ method, isWatch }: Asked): boolean => method === 'GET' && !isWatch;
export const isWatch = (request: Asked): boolean => request.isWatch;
