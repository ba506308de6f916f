// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { ObjectClient } from './apply.js';
import { Controller, OWN_WRITE, source, type ControllerOptions } from './controller.js';
import { Expectations } from './expectations.js';
import { fenced } from './fence.js';
import { Informer } from './informer.js';
import { keyOf, type Resource } from './object.js';
import { again, done, type Outcome } from './outcome.js';
import type { QueueEvent } from './queue.js';
import { RestApi } from './rest.js';
import { FakeApi } from './test/fake-api.js';
import { FakeTime, settled } from './test/fake-time.js';
import { CONFIG_MAPS, WIDGETS, widget, type ConfigMap, type Widget } from './test/resources.js';
import { until } from './test/until.js';

/** For each widget there shall be one ConfigMap, of a new name each time: whoever decides twice makes two. */
describe('Controller', function () {
  this.timeout(60_000);

  let server: FakeApi;
  let api: RestApi;
  let time: FakeTime;
  let widgets: Informer<Widget>;
  let maps: Informer<ConfigMap>;
  let writes: Expectations<ConfigMap>;
  let client: ObjectClient;
  let events: QueueEvent[];
  let leads: boolean;
  let controller: Controller;
  let names: number;

  const informer = <T extends Widget | ConfigMap>(resource: Resource): Informer<T> =>
    new Informer<T>({ api, resource, time, random: () => 0 });
  const reconcile = async (key: string): Promise<Outcome> => {
    const owner = widgets.get(key);
    const own = maps.list().filter(({ data }) => data?.['owner'] === key);
    if (owner === undefined || own.length > 0) return done;
    const { namespace } = owner.metadata;
    const map = { metadata: { namespace: namespace ?? '', name: `map-${++names}` }, data: { owner: key } };
    await writes.create(key, () => client.createIfAbsent<ConfigMap>(CONFIG_MAPS, map));
    return done;
  };
  const make = (options: Partial<ControllerOptions> = {}): Controller =>
    (controller = new Controller({
      sources: [
        source(widgets, (object) => [keyOf(object)]),
        source(maps, ({ data }) => (data?.['owner'] === undefined ? [] : [data['owner']])),
      ],
      reconcile,
      concurrency: 4,
      time,
      random: () => 0,
      expectations: [writes],
      leader: { holds: () => leads },
      observe: (event) => events.push(event),
      ...options,
    }));
  const quiet = (): Promise<void> =>
    until(
      'all is done',
      () => controller.queue.depth + controller.queue.inFlight + controller.queue.delayed === 0,
      time,
    );
  const begun = (): string[] => events.flatMap((event) => (event.type === 'began' ? [event.key] : []));

  beforeEach(async () => {
    server = await FakeApi.start();
    api = new RestApi(server.kubeConfig());
    time = new FakeTime();
    leads = true;
    client = new ObjectClient(fenced(api, { holds: () => leads }), { fieldManager: 'kit' });
    widgets = informer<Widget>(WIDGETS);
    maps = informer<ConfigMap>(CONFIG_MAPS);
    writes = new Expectations({ informer: maps, time });
    events = [];
    names = 0;
    widgets.start();
    maps.start();
  });

  afterEach(async () => {
    await controller.retire();
    await Promise.all([widgets.stop(), maps.stop()]);
    expect(time.pending, 'timers left').to.equal(0);
    api.close();
    await server.close();
  });

  it('looks at what is there, and at what comes, changes and goes', async () => {
    server.put(WIDGETS, widget('a'));
    await make().lead();
    await until('a map for a', () => server.list(CONFIG_MAPS).length === 1, time);
    server.put(WIDGETS, widget('b'));
    await until('a map for b', () => server.list(CONFIG_MAPS).length === 2, time);
    server.remove(CONFIG_MAPS, { namespace: 'default', name: 'map-1' });
    await until(
      'another map for a',
      () => server.list(CONFIG_MAPS).some(({ metadata }) => metadata.name === 'map-3'),
      time,
    );
    await quiet();
  });

  it('begins nothing before all caches are filled', async () => {
    server.put(WIDGETS, widget('a'));
    server.put(CONFIG_MAPS, {
      metadata: { namespace: 'default', name: 'old' },
      data: { owner: 'default/a' },
    });
    server.fail({ when: ({ path }) => path.endsWith('/configmaps'), times: 3, with: { status: 503 } });
    await maps.stop();
    maps = informer<ConfigMap>(CONFIG_MAPS);
    make();
    const leading = controller.lead();
    await until('the other cache is filled', () => widgets.synced, time, 1);
    expect(begun()).to.deep.equal([]);
    maps.start();
    await until('both are', () => maps.synced, time);
    await leading;
    await quiet();
    expect(server.list(CONFIG_MAPS)).to.have.length(1);
  });

  it('behind a cache that is 30 s stale it makes one, and never a second', async () => {
    await make().lead();
    await until('watches are open', () => server.watches.length === 2, time);
    server.fail({
      when: ({ isWatch, path }) => isWatch && path.endsWith('/configmaps'),
      with: { status: 503 },
    });
    for (const watch of server.watches) watch.cut();
    await until('watched again', () => server.watches.length === 1, time);
    // Lists are slow to come as well.
    server.fail({
      when: ({ path, method }) => method === 'GET' && path.endsWith('/configmaps'),
      times: 5,
      with: { status: 503 },
    });
    server.put(WIDGETS, widget('a'));
    await until('a map', () => server.list(CONFIG_MAPS).length === 1, time);
    for (let second = 0; second < 60; second++) {
      server.put(WIDGETS, widget('a', second));
      controller.enqueue('default/a');
      await time.advance(1_000);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(server.list(CONFIG_MAPS)).to.have.length(1);
    const held = events.filter(
      (event) => event.type === 'ended' && event.result.kind === 'again' && event.result.reason === OWN_WRITE,
    );
    expect(held).not.to.deep.equal([]);
  });

  it('the same controller without expectations would make more', async () => {
    await make({ expectations: [] }).lead();
    await until('watches are open', () => server.watches.length === 2, time);
    server.holdWatches();
    server.put(WIDGETS, widget('a'));
    widgets.relist('to see a');
    await until('a is seen', () => widgets.list().length === 1, time);
    for (let i = 0; i < 3; i++) {
      controller.enqueue('default/a');
      await quiet();
    }
    expect(server.list(CONFIG_MAPS).length).to.be.greaterThan(1);
  });

  it('an error is tried again, later each time, and holds up no other key', async () => {
    server.admit((operation, object) =>
      operation === 'CREATE' &&
      'data' in object &&
      (object['data'] as { owner: string }).owner === 'default/bad'
        ? 'no'
        : null,
    );
    server.put(WIDGETS, widget('bad'));
    server.put(WIDGETS, widget('good'));
    await make().lead();
    await until('good has its map', () => server.list(CONFIG_MAPS).length === 1, time);
    await until(
      'four failures',
      () => events.filter((event) => event.type === 'ended' && event.result.kind === 'failed').length === 4,
      time,
      100,
    );
    const waits = events.flatMap((event) =>
      event.type === 'ended' && event.result.kind === 'failed' ? [event.result.afterMs] : [],
    );
    expect(waits).to.deep.equal([100, 200, 400, 800]);
  });

  it('a key that moves from one owner to another concerns both', async () => {
    await make({ reconcile: () => Promise.resolve(done) }).lead();
    const map = { namespace: 'default', name: 'm' };
    server.put(CONFIG_MAPS, { metadata: map, data: { owner: 'x' } });
    await until('x', () => begun().includes('x'), time);
    server.put(CONFIG_MAPS, { metadata: map, data: { owner: 'y' } });
    await until(
      'y, and x again',
      () => begun().filter((key) => key === 'x').length === 2 && begun().includes('y'),
      time,
    );
    server.remove(CONFIG_MAPS, map);
    await until('y again', () => begun().filter((key) => key === 'y').length === 2, time);
  });

  it('looks again when it was told to, without any change', async () => {
    let looks = 0;
    server.put(WIDGETS, widget('a'));
    await make({ reconcile: () => Promise.resolve(++looks < 3 ? again(1_000, 'Waiting') : done) }).lead();
    await quiet();
    expect(looks).to.equal(3);
  });

  it('when the lead is lost nothing begins, what runs is told and waited for, and a later term starts afresh', async () => {
    const signals: AbortSignal[] = [];
    let end = (): void => undefined;
    server.put(WIDGETS, widget('a'));
    server.put(WIDGETS, widget('b'));
    make({
      concurrency: 1,
      reconcile: async (_key, signal) => {
        signals.push(signal);
        await new Promise<void>((resolve) => (end = resolve));
        return again(10, 'More');
      },
    });
    await controller.lead();
    await settled();
    expect(signals).to.have.length(1);
    let retired = false;
    const retiring = controller.retire().then(() => (retired = true));
    await settled();
    expect([signals[0]?.aborted, retired]).to.deep.equal([true, false]);
    controller.enqueue('default/c');
    end();
    await retiring;
    await time.advance(60_000);
    expect(signals).to.have.length(1);
    await controller.lead();
    await settled();
    expect(signals).to.have.length(2);
    expect(signals[1]?.aborted).to.equal(false);
    const retiredAgain = controller.retire();
    end();
    await retiredAgain;
  });

  it('a process that has lost the lead without knowing begins nothing and writes nothing', async () => {
    await make().lead();
    leads = false;
    server.put(WIDGETS, widget('a'));
    await until('the change was seen', () => begun().length === 1, time);
    await quiet();
    expect(server.list(CONFIG_MAPS)).to.deep.equal([]);
  });

  it('works off 10,000 keys, 4 at a time', async () => {
    let parallel = 0;
    let most = 0;
    const seen = new Set<string>();
    for (let i = 0; i < 10_000; i++) server.put(WIDGETS, widget(`w-${i}`));
    make({
      reconcile: async (key) => {
        most = Math.max(most, ++parallel);
        await settled();
        parallel -= 1;
        seen.add(key);
        return done;
      },
    });
    await controller.lead();
    await until('all seen', () => seen.size === 10_000, time);
    await quiet();
    expect(most).to.equal(4);
    expect(begun()).to.have.length(10_000);
  });
});
