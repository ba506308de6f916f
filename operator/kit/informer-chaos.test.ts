// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { Informer } from './informer.js';
import { keyOf, type Stored } from './object.js';
import { RestApi } from './rest.js';
import { FakeApi, type Fault, type FakeRequest } from './test/fake-api.js';
import { FakeTime } from './test/fake-time.js';
import { CONFIG_MAPS, configMap, type ConfigMap } from './test/resources.js';
import { until } from './test/until.js';

const NAMES = ['a', 'b', 'c', 'd', 'e'] as const;
const RUNS = 150;

type Step =
  | { readonly act: 'put' | 'remove' | 'recreate'; readonly name: (typeof NAMES)[number] }
  | { readonly act: 'compact' | 'cut' | 'hold' | 'release' | 'bookmark' | 'restart' | 'relist' | 'garbage' }
  | { readonly act: 'fail'; readonly watch: boolean; readonly fault: Fault }
  | { readonly act: 'advance'; readonly ms: number };

const name = fc.constantFrom(...NAMES);
const fault = fc.oneof(
  fc.constantFrom<Fault>({ status: 410 }, { status: 500 }, { status: 429, retryAfterS: 1 }, 'drop'),
  fc.integer({ min: 1, max: 900 }).map((cutAfterBytes): Fault => ({ cutAfterBytes })),
);
const change = fc.record({
  act: fc.constantFrom('put' as const, 'remove' as const, 'recreate' as const),
  name,
});
const trouble = fc.record({
  act: fc.constantFrom('compact', 'cut', 'hold', 'release', 'bookmark', 'restart', 'relist', 'garbage'),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: change, weight: 3 },
  { arbitrary: trouble, weight: 2 },
  { arbitrary: fc.record({ act: fc.constant('fail' as const), watch: fc.boolean(), fault }), weight: 1 },
  {
    arbitrary: fc.record({ act: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 3_000 }) }),
    weight: 2,
  },
);

/** Does one thing to the server or the time. */
async function take(it: Step, server: FakeApi, informer: Informer<ConfigMap>, time: FakeTime): Promise<void> {
  const ref = { namespace: 'default', name: 'name' in it ? it.name : '' };
  const there = (): boolean => server.find(CONFIG_MAPS, ref) !== undefined;
  const acts: Record<Step['act'], () => unknown> = {
    put: () => server.put(CONFIG_MAPS, configMap(ref.name, { text: String(server.requests.length) })),
    remove: () => there() && server.remove(CONFIG_MAPS, ref),
    recreate: () => {
      acts.remove();
      acts.put();
    },
    compact: () => server.compact(),
    cut: () => server.cutWatches(),
    hold: () => server.holdWatches(),
    release: () => server.releaseWatches(),
    bookmark: () => server.sendBookmarks(),
    restart: () => server.restart(),
    relist: () => informer.relist('demanded'),
    garbage: () => {
      for (const watch of server.watches) watch.raw('{"type":"WHAT"}\n');
    },
    fail: () => {
      if (it.act !== 'fail') return;
      const when = ({ isWatch }: FakeRequest): boolean => isWatch === it.watch;
      server.fail({ when, times: 1, with: it.fault });
    },
    advance: () => it.act === 'advance' && time.advance(it.ms),
  };
  await acts[it.act]();
}

/** What the handlers were told, kept in the strictest way. */
class Mirror {
  readonly objects = new Map<string, Stored<ConfigMap>>();

  constructor(informer: Informer<ConfigMap>) {
    informer.on({
      add: (object) => {
        expect(this.objects.has(keyOf(object)), `${keyOf(object)} is added twice`).to.equal(false);
        this.objects.set(keyOf(object), object);
      },
      update: (object, before) => {
        expect(this.objects.get(keyOf(object))).to.equal(before);
        expect(object.metadata.uid).to.equal(before.metadata.uid);
        expect(object.metadata.resourceVersion).not.to.equal(before.metadata.resourceVersion);
        this.objects.set(keyOf(object), object);
      },
      delete: (last) => {
        expect(this.objects.get(keyOf(last))?.metadata.uid).to.equal(last.metadata.uid);
        this.objects.delete(keyOf(last));
      },
    });
  }
}

const versions = (objects: Iterable<Stored<ConfigMap>>): string =>
  [...objects]
    .map(({ metadata }) => `${metadata.name} ${metadata.uid} ${metadata.resourceVersion}`)
    .sort()
    .join(', ');

describe('Informer, whatever happens', function () {
  this.timeout(60_000);

  it(`comes to have what the server has, and has told exactly that (${RUNS} histories)`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const server = await FakeApi.start();
        const api = new RestApi(server.kubeConfig());
        const time = new FakeTime();
        const wrong: unknown[] = [];
        const informer = new Informer<ConfigMap>({
          api,
          resource: CONFIG_MAPS,
          time,
          random: () => 0.5,
          limits: { pageSize: 2 },
          observe: (event) => event.type === 'handlerFailed' && wrong.push(event.error),
        });
        const mirror = new Mirror(informer);
        informer.start();
        try {
          for (const it of steps) {
            await take(it, server, informer, time);
            await time.advance(1);
          }
          server.releaseWatches();
          const same = (): boolean => versions(informer.list()) === versions(server.list(CONFIG_MAPS));
          await until('the cache is as the server', () => informer.synced && same(), time, 100);
          expect(wrong).to.deep.equal([]);
          expect(versions(mirror.objects.values())).to.equal(versions(informer.list()));
        } finally {
          await informer.stop();
          expect(time.pending).to.equal(0);
          api.close();
          await server.close();
        }
      }),
      { numRuns: RUNS },
    );
  }).timeout(120_000);
});
