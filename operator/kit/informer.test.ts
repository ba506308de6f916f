// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { Informer, type InformerEvent, type InformerOptions } from './informer.js';
import { InformerLimitsError } from './informer-limits.js';
import { keyOf, type Stored } from './object.js';
import { RestApi } from './rest.js';
import { FakeApi } from './test/fake-api.js';
import { FakeTime, settled } from './test/fake-time.js';
import { CONFIG_MAPS, configMap, type ConfigMap } from './test/resources.js';
import { until } from './test/until.js';

const isList = ({ method, isWatch }: { method: string; isWatch: boolean }): boolean =>
  method === 'GET' && !isWatch;
const isWatch = (request: { isWatch: boolean }): boolean => request.isWatch;

describe('Informer', function () {
  this.timeout(60_000);

  let server: FakeApi;
  let api: RestApi;
  let time: FakeTime;
  let informer: Informer<ConfigMap>;
  let told: string[];
  let events: InformerEvent[];

  const make = (options: Partial<InformerOptions> = {}): Informer<ConfigMap> => {
    informer = new Informer<ConfigMap>({
      api,
      resource: CONFIG_MAPS,
      time,
      random: () => 0,
      observe: (event) => events.push(event),
      ...options,
    });
    informer.on({
      add: (object) => told.push(`add ${wordOf(object)}`),
      update: (object, before) => told.push(`update ${wordOf(before)} ${wordOf(object)}`),
      delete: (last) => told.push(`delete ${wordOf(last)}`),
    });
    return informer;
  };
  const started = async (options: Partial<InformerOptions> = {}): Promise<void> => {
    make(options).start();
    await informer.waitSynced();
    await watching();
  };
  const watching = (): Promise<void> => until('a watch is open', () => server.watches.length > 0, time);
  const has = (...names: string[]): Promise<void> =>
    until(
      `the cache has ${names.join(' ')}, not ${informer.list().map(wordOf).join(' ')}`,
      () => informer.list().map(wordOf).sort().join(' ') === names.join(' '),
      time,
    );
  const put = (name: string, text = '1'): Stored<ConfigMap> =>
    server.put(CONFIG_MAPS, configMap(name, { text }));
  const remove = (name: string): void => server.remove(CONFIG_MAPS, { namespace: 'default', name });
  const count = (type: InformerEvent['type']): number => events.filter((event) => event.type === type).length;
  const reasons = (): string[] =>
    events.flatMap((event) => (event.type === 'relisted' ? [event.reason] : []));
  const retries = (): number[] => events.flatMap((event) => (event.type === 'failed' ? [event.retryMs] : []));

  beforeEach(async () => {
    server = await FakeApi.start();
    api = new RestApi(server.kubeConfig());
    time = new FakeTime();
    told = [];
    events = [];
  });

  afterEach(async () => {
    await informer.stop();
    expect(time.pending, 'timers left').to.equal(0);
    api.close();
    await server.close();
  });

  it('has what is there, and follows', async () => {
    put('a');
    await started();
    expect(informer.synced).to.equal(true);
    put('b');
    put('a', '2');
    await has('a=2', 'b=1');
    remove('b');
    await has('a=2');
    expect(told).to.deep.equal(['add a=1', 'add b=1', 'update a=1 a=2', 'delete b=1']);
    const stored = informer.get('default/a');
    expect(stored).to.include({ apiVersion: 'v1', kind: 'ConfigMap' });
    expect(informer.byUid(stored?.metadata.uid ?? '')).to.equal(stored);
  });

  it('a handler that comes late is told what is there; one that went is told nothing', async () => {
    put('a');
    await started();
    const late: string[] = [];
    const off = informer.on({ add: (object) => late.push(keyOf(object)) });
    off();
    put('b');
    await has('a=1', 'b=1');
    expect(late).to.deep.equal(['default/a']);
  });

  it('asks for its namespace and selectors, in pages, with bookmarks and a time-out', async () => {
    for (const name of ['a', 'b', 'c']) put(name);
    server.put(CONFIG_MAPS, { metadata: { name: 'z', namespace: 'other' } });
    await started({ namespace: 'default', fieldSelector: 'metadata.name!=b', limits: { pageSize: 1 } });
    await has('a=1', 'c=1');
    expect(server.requests.filter(isList)).to.have.length(2);
    const { path, query } = server.requests.find(isWatch) ?? expect.fail('no watch');
    expect(path).to.equal('/api/v1/namespaces/default/configmaps');
    expect(query).to.include({ allowWatchBookmarks: 'true', timeoutSeconds: '300' });
    put('b', '2');
    server.put(CONFIG_MAPS, { metadata: { name: 'y', namespace: 'other' } });
    put('c', '2');
    await has('a=1', 'c=2');
  });

  it('an object that leaves the selector is told as gone', async () => {
    const labelled = (labels: Record<string, string>): void => {
      server.put(CONFIG_MAPS, { metadata: { name: 'a', namespace: 'default', labels } });
    };
    labelled({ mine: 'yes' });
    await started({ labelSelector: 'mine=yes' });
    labelled({});
    await has();
    expect(told.map((word) => word.split(' ')[0])).to.deep.equal(['add', 'delete']);
  });

  it('a watch that ends well is opened again where it ended, at once', async () => {
    await started();
    await time.advance(60_000);
    put('a');
    await has('a=1');
    for (const watch of server.watches) watch.end();
    await until('the watch is opened again', () => count('watchOpened') === 2, time, 0);
    put('b');
    await has('a=1', 'b=1');
    expect(reasons()).to.deep.equal(['start']);
    expect(retries()).to.deep.equal([]);
  });

  it('a bookmark moves the place where the watch goes on', async () => {
    await started();
    server.put(CONFIG_MAPS, { metadata: { name: 'elsewhere', namespace: 'other' } });
    await until('told', () => told.length === 1, time);
    server.sendBookmarks();
    await until(
      'a bookmark',
      () => events.some((event) => event.type === 'event' && event.event === 'BOOKMARK'),
      time,
    );
    server.compact();
    server.cutWatches();
    await until('the watch is opened again', () => count('watchOpened') === 2, time);
    expect(reasons(), 'the version of the bookmark is not too old').to.deep.equal(['start']);
  });

  it('cut at any byte it misses nothing and tells nothing twice', async () => {
    for (let cutAfterBytes = 1; cutAfterBytes < 750; cutAfterBytes += 53) {
      told = [];
      events = [];
      for (const { metadata } of server.list(CONFIG_MAPS)) server.remove(CONFIG_MAPS, metadata);
      server.fail({ when: isWatch, times: 1, with: { cutAfterBytes } });
      await started();
      for (const name of ['ä', 'b', 'c']) put(name, `${name}-grün-☃`);
      await has('b=b-grün-☃', 'c=c-grün-☃', 'ä=ä-grün-☃');
      expect(count('watchOpened'), `cut after ${cutAfterBytes} bytes`).to.equal(2);
      expect(told, `cut after ${cutAfterBytes} bytes`).to.deep.equal([
        'add ä=ä-grün-☃',
        'add b=b-grün-☃',
        'add c=c-grün-☃',
      ]);
      await informer.stop();
    }
  });

  it('what vanished during a gap is told, in the form in which it was seen last', async () => {
    put('a');
    put('b');
    await started();
    server.fail({ when: isWatch, times: 1, with: { status: 500 } });
    server.cutWatches();
    remove('a');
    server.compact();
    await has('b=1');
    expect(told).to.deep.equal(['add a=1', 'add b=1', 'delete a=1']);
    expect(reasons()).to.deep.equal(['start', 'gone']);
  });

  it('410 in an open watch: all is listed again', async () => {
    put('a');
    await started();
    server.holdWatches();
    put('b');
    server.releaseWatches();
    for (const watch of server.watches) watch.error(410, 'Expired', 'too old');
    await until('listed again', () => reasons().includes('gone'), time);
    await has('a=1', 'b=1');
    expect(told).to.deep.equal(['add a=1', 'add b=1']);
  });

  it('410 on page 2 of a list: all comes in one page', async () => {
    for (const name of ['a', 'b', 'c']) put(name);
    server.fail({ when: ({ query }) => query['continue'] !== undefined, times: 1, with: { status: 410 } });
    await started({ limits: { pageSize: 2 } });
    await has('a=1', 'b=1', 'c=1');
    expect(server.requests.filter(isList).map(({ query }) => query['limit'])).to.deep.equal([
      '2',
      '2',
      undefined,
    ]);
    expect(retries()).to.deep.equal([]);
  });

  it('429: keeps the pause that the server asks for', async () => {
    server.fail({ when: isList, times: 1, with: { status: 429, retryAfterS: 20 } });
    make().start();
    await until('refused', () => count('failed') === 1);
    expect(retries()).to.deep.equal([20_000]);
    await time.advance(19_999);
    expect(server.requests).to.have.length(1);
    await time.advance(1);
    await until('synced', () => informer.synced);
  });

  it('never gives up, and comes back ever more slowly', async () => {
    const mend = server.fail({ when: () => true, with: { status: 503 } });
    make().start();
    await until('ten failures', () => count('failed') === 10, time, 5_000);
    expect(retries()).to.deep.equal([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    expect(informer.synced).to.equal(false);
    mend();
    put('a');
    await until('synced', () => informer.synced, time, 5_000);
    await has('a=1');
  });

  it('a server that ends each watch at once is not asked tens of times a second', async () => {
    server.fail({ when: isWatch, with: { status: 500 } });
    make().start();
    await until('six failures', () => count('failed') === 6, time, 100);
    expect(retries()).to.deep.equal([250, 500, 1_000, 2_000, 4_000, 8_000]);
    expect(reasons().slice(0, 2), 'a version that leads nowhere is not kept').to.deep.equal([
      'start',
      'failures',
    ]);
  });

  it('the server is away, then another process without its watch cache', async () => {
    put('a');
    await started();
    await server.stop();
    await until('three failures', () => count('failed') === 3, time);
    expect(reasons(), 'nobody has said that the version is bad').to.deep.equal(['start']);
    put('b');
    remove('a');
    await server.restart();
    await has('b=1');
    expect(told).to.deep.equal(['add a=1', 'delete a=1', 'add b=1']);
    expect(informer.get('default/a')).to.equal(undefined);
  });

  it('a watch that is open and silent too long is left, and all is listed again', async () => {
    await started();
    server.holdWatches();
    put('a');
    await time.advance(100_000);
    expect(informer.signAgeMs()).to.be.within(100_000, 101_000);
    for (const watch of server.watches) watch.raw('\n');
    await until('a sign', () => informer.signAgeMs() === 0);
    await time.advance(149_999);
    expect(reasons()).to.deep.equal(['start']);
    await time.advance(1);
    await until('listed again', () => reasons().length === 2, time);
    expect(reasons()).to.deep.equal(['start', 'silent']);
    await has('a=1');
  });

  it('a handler that throws, or whose promise fails, stops nothing', async () => {
    make();
    const boom = new Error('boom');
    informer.on({
      add: () => {
        throw boom;
      },
      // What an async function would be; its type is that of a function without a result.
      update: () => Promise.reject(boom) as unknown as undefined,
    });
    const after: string[] = [];
    informer.on({ add: (object) => after.push(wordOf(object)) });
    put('a');
    informer.start();
    await watching();
    put('a', '2');
    put('b');
    await has('a=2', 'b=1');
    await settled();
    expect(events.filter((event) => event.type === 'handlerFailed')).to.deep.equal(
      Array.from({ length: 3 }, () => ({ type: 'handlerFailed', error: boom })),
    );
    expect(after).to.deep.equal(['a=1', 'b=1']);
    expect(count('failed')).to.equal(0);
  });

  it('nonsense in the stream is an error, after which it goes on', async () => {
    await started();
    for (const watch of server.watches) watch.raw('<html>proxy</html>\n');
    put('a');
    await has('a=1');
    expect(count('failed')).to.equal(1);
  });

  it('lists again when somebody demands it, also through a stale watch, but not more often than it may', async () => {
    await started();
    server.holdWatches();
    put('a');
    informer.relist('own write');
    informer.relist('own write');
    await has('a=1');
    expect(reasons()).to.deep.equal(['start', 'own write']);
    await watching();
    informer.relist('again');
    await time.advance(500);
    await settled();
    expect(reasons()).to.have.length(2);
    await until('listed', () => reasons().length === 3, time);
  });

  it('gets fresh: what was written before is there, through a stale watch, also when the first list still runs', async () => {
    make().start();
    put('a');
    const first = informer.fresh();
    await until('fresh', () => reasons().length === 2, time);
    await first;
    expect(informer.list()).to.have.length(1);
    await watching();
    server.holdWatches();
    put('b');
    const second = informer.fresh();
    await until('fresh', () => informer.list().length === 2, time);
    await second;
    const gone = new AbortController();
    await server.stop();
    const never = informer.fresh(gone.signal);
    gone.abort();
    await never;
  });

  it('tells who asked when the list began that holds all that was written before', async () => {
    make();
    const begun: number[] = [];
    informer.on({ relisted: (startedAtMs) => begun.push(startedAtMs) });
    const beforeMs = time.now();
    informer.start();
    await until('synced', () => informer.synced);
    expect(begun).to.deep.equal([beforeMs]);
  });

  it('follows 10,000 objects', async () => {
    for (let i = 0; i < 10_000; i++) put(`object-${i}`);
    await started();
    expect(informer.list()).to.have.length(10_000);
    server.cutWatches();
    for (let i = 0; i < 10_000; i += 10) put(`object-${i}`, '2');
    await until('all changes', () => told.length === 11_000, time);
    expect(reasons()).to.deep.equal(['start']);
  });

  it('nothing is told after it was stopped, and a stop waits for no time-out', async () => {
    put('a');
    await started();
    await informer.stop();
    put('b');
    await settled();
    expect(told).to.deep.equal(['add a=1']);
    expect(server.watches).to.have.length(0);
    await informer.stop();
  });

  it('can be stopped while it waits for a server that is away', async () => {
    await server.stop();
    make().start();
    await until('a failure', () => count('failed') === 1);
    await informer.stop();
    expect(informer.synced).to.equal(false);
  });

  it('refuses limits that cannot work, with a sentence', () => {
    expect(() => make({ limits: { silenceMsMax: 1_000 } })).to.throw(InformerLimitsError, /must hold/);
    make();
  });
});

function wordOf({ metadata, data }: ConfigMap): string {
  return `${metadata.name}=${data?.['text'] ?? ''}`;
}
