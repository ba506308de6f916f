// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { InformerLimitsError } from './informer-limits.js';
import { keyOf } from './object.js';
import { settled } from './test/fake-time.js';
import { InformerBench, isList, isWatch } from './test/informer-bench.js';
import { CONFIG_MAPS } from './test/resources.js';
import { until } from './test/until.js';

describe('Informer', function () {
  this.timeout(60_000);

  const bench = new InformerBench();
  const { make, started, watching, has, put, remove, count, reasons, retries } = bench;

  beforeEach(bench.open);
  afterEach(bench.close);

  it('has what is there, and follows', async () => {
    put('a');
    await started();
    expect(bench.informer.synced).to.equal(true);
    put('b');
    put('a', '2');
    await has('a=2', 'b=1');
    remove('b');
    await has('a=2');
    expect(bench.told).to.deep.equal(['add a=1', 'add b=1', 'update a=1 a=2', 'delete b=1']);
    const stored = bench.informer.get('default/a');
    expect(stored).to.include({ apiVersion: 'v1', kind: 'ConfigMap' });
    expect(bench.informer.byUid(stored?.metadata.uid ?? '')).to.equal(stored);
  });

  it('a handler that comes late is told what is there; one that went is told nothing', async () => {
    put('a');
    await started();
    const late: string[] = [];
    const off = bench.informer.on({ add: (object) => late.push(keyOf(object)) });
    off();
    put('b');
    await has('a=1', 'b=1');
    expect(late).to.deep.equal(['default/a']);
  });

  it('asks for its namespace and selectors, in pages, with bookmarks and a time-out', async () => {
    for (const name of ['a', 'b', 'c']) put(name);
    bench.server.put(CONFIG_MAPS, { metadata: { name: 'z', namespace: 'other' } });
    await started({ namespace: 'default', fieldSelector: 'metadata.name!=b', limits: { pageSize: 1 } });
    await has('a=1', 'c=1');
    expect(bench.server.requests.filter(isList)).to.have.length(2);
    const { path, query } = bench.server.requests.find(isWatch) ?? expect.fail('no watch');
    expect(path).to.equal('/api/v1/namespaces/default/configmaps');
    expect(query).to.include({ allowWatchBookmarks: 'true', timeoutSeconds: '300' });
    put('b', '2');
    bench.server.put(CONFIG_MAPS, { metadata: { name: 'y', namespace: 'other' } });
    put('c', '2');
    await has('a=1', 'c=2');
  });

  it('an object that leaves the selector is told as gone', async () => {
    const labelled = (labels: Record<string, string>): void => {
      bench.server.put(CONFIG_MAPS, { metadata: { name: 'a', namespace: 'default', labels } });
    };
    labelled({ mine: 'yes' });
    await started({ labelSelector: 'mine=yes' });
    labelled({});
    await has();
    expect(bench.told.map((word) => word.split(' ')[0])).to.deep.equal(['add', 'delete']);
  });

  it('a watch that ends well is opened again where it ended, at once', async () => {
    await started();
    await bench.time.advance(60_000);
    put('a');
    await has('a=1');
    for (const watch of bench.server.watches) watch.end();
    await until('the watch is opened again', () => count('watchOpened') === 2, bench.time, 0);
    put('b');
    await has('a=1', 'b=1');
    expect(reasons()).to.deep.equal(['start']);
    expect(retries()).to.deep.equal([]);
  });

  it('a bookmark moves the place where the watch goes on', async () => {
    await started();
    bench.server.put(CONFIG_MAPS, { metadata: { name: 'elsewhere', namespace: 'other' } });
    await until('told', () => bench.told.length === 1, bench.time);
    bench.server.sendBookmarks();
    await until(
      'a bookmark',
      () => bench.events.some((event) => event.type === 'event' && event.event === 'BOOKMARK'),
      bench.time,
    );
    bench.server.compact();
    bench.server.cutWatches();
    await until('the watch is opened again', () => count('watchOpened') === 2, bench.time);
    expect(reasons(), 'the version of the bookmark is not too old').to.deep.equal(['start']);
  });

  it('lists again when somebody demands it, also through a stale watch, but not more often than it may', async () => {
    await started({ limits: { relistGapMs: 20_000 } });
    bench.server.holdWatches();
    put('a');
    bench.informer.relist('own write');
    bench.informer.relist('own write');
    await has('a=1');
    expect(reasons()).to.deep.equal(['start', 'own write']);
    await watching();
    bench.informer.relist('again');
    await bench.time.advance(10_000);
    await settled();
    expect(reasons()).to.have.length(2);
    await until('listed', () => reasons().length === 3, bench.time);
  });

  it('gets fresh: what was written before is there, through a stale watch, also when the first list still runs', async () => {
    make().start();
    put('a');
    const first = bench.informer.fresh();
    await until('fresh', () => reasons().length === 2, bench.time);
    await first;
    expect(bench.informer.list()).to.have.length(1);
    await watching();
    bench.server.holdWatches();
    put('b');
    const second = bench.informer.fresh();
    await until('fresh', () => bench.informer.list().length === 2, bench.time);
    await second;
    const gone = new AbortController();
    await bench.server.stop();
    const never = bench.informer.fresh(gone.signal);
    gone.abort();
    await never;
  });

  it('tells who asked when the list began that holds all that was written before', async () => {
    make();
    const begun: number[] = [];
    bench.informer.on({ relisted: (startedAtMs) => begun.push(startedAtMs) });
    const beforeMs = bench.time.now();
    bench.informer.start();
    await until('synced', () => bench.informer.synced);
    expect(begun).to.deep.equal([beforeMs]);
  });

  it('follows 10,000 objects', async () => {
    for (let i = 0; i < 10_000; i++) put(`object-${i}`);
    await started();
    expect(bench.informer.list()).to.have.length(10_000);
    bench.server.cutWatches();
    for (let i = 0; i < 10_000; i += 10) put(`object-${i}`, '2');
    await until('all changes', () => bench.told.length === 11_000, bench.time);
    expect(reasons()).to.deep.equal(['start']);
  });

  it('nothing is told after it was stopped, and a stop waits for no time-out', async () => {
    put('a');
    await started();
    await bench.informer.stop();
    put('b');
    await settled();
    expect(bench.told).to.deep.equal(['add a=1']);
    expect(bench.server.watches).to.have.length(0);
    await bench.informer.stop();
  });

  it('can be stopped while it waits for a server that is away', async () => {
    await bench.server.stop();
    make().start();
    await until('a failure', () => count('failed') === 1);
    await bench.informer.stop();
    expect(bench.informer.synced).to.equal(false);
  });

  it('refuses limits that cannot work, with a sentence', () => {
    expect(() => make({ limits: { silenceMsMax: 1_000 } })).to.throw(InformerLimitsError, /must hold/);
    make();
  });
});
