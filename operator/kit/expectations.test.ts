// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { Api } from './api.js';
import { ObjectClient } from './apply.js';
import { Expectations, type ExpectationEvent } from './expectations.js';
import { Informer } from './informer.js';
import { RestApi } from './rest.js';
import { FakeApi } from './test/fake-api.js';
import { FakeTime } from './test/fake-time.js';
import { rejection } from './test/rejection.js';
import { WIDGETS, widget, type Widget } from './test/resources.js';
import { until } from './test/until.js';

const REF = { namespace: 'default', name: 'a' };
const KEY = 'the-owner';

describe('Expectations', function () {
  this.timeout(60_000);

  let server: FakeApi;
  let api: RestApi;
  let time: FakeTime;
  let client: ObjectClient;
  let informer: Informer<Widget>;
  let expectations: Expectations<Widget>;
  let events: ExpectationEvent[];
  let released: string[];
  let reasons: string[];
  /** Answers to the informer wait for it. */
  let gate: Promise<void>;

  const apply = (size: number): Promise<unknown> =>
    expectations.write(KEY, () => client.apply<Widget>(WIDGETS, widget('a', size)));
  const free = (): Promise<void> => until('the key is free', () => expectations.holdMs(KEY) === null);
  const watching = (): Promise<void> => until('a watch is open', () => server.watches.length > 0, time);

  beforeEach(async () => {
    server = await FakeApi.start();
    api = new RestApi(server.kubeConfig());
    time = new FakeTime();
    client = new ObjectClient(api, { fieldManager: 'kit' });
    events = [];
    released = [];
    reasons = [];
    gate = Promise.resolve();
    const gated: Api = {
      call: async (request) => {
        const answer = await api.call(request);
        await gate;
        return answer;
      },
      stream: (request) => api.stream(request),
    };
    informer = new Informer<Widget>({
      api: gated,
      resource: WIDGETS,
      time,
      random: () => 0,
      observe: (event) => event.type === 'relisted' && reasons.push(event.reason),
    });
    expectations = new Expectations({ informer, time, observe: (event) => events.push(event) });
    expectations.onRelease((key) => released.push(key));
    informer.start();
    await informer.waitSynced();
    await watching();
  });

  afterEach(async () => {
    expectations.close();
    await informer.stop();
    api.close();
    await server.close();
  });

  it('holds a key until the informer shows what was written', async () => {
    server.holdWatches();
    await apply(1);
    expect(expectations.holdMs(KEY)).to.equal(5_000);
    expect(expectations.holdMs('another')).to.equal(null);
    server.releaseWatches();
    await free();
    expect(events.map(({ type }) => type)).to.deep.equal(['shown']);
    expect(released).to.deep.equal([KEY]);
  });

  it('an event that comes before the answer of the write counts', async () => {
    await expectations.write(KEY, async () => {
      const written = await client.apply<Widget>(WIDGETS, widget('a', 1));
      await until('shown', () => informer.get('default/a') !== undefined);
      // And somebody was faster still.
      server.put(WIDGETS, widget('a', 2));
      await until('shown', () => informer.get('default/a')?.spec?.size === 2);
      return written;
    });
    expect(expectations.holdMs(KEY)).to.equal(null);
  });

  it('a write that changes nothing is shown already', async () => {
    await apply(1);
    await free();
    await apply(1);
    expect(expectations.holdMs(KEY)).to.equal(null);
  });

  it('also when somebody has changed it before the answer came', async () => {
    await apply(1);
    await free();
    await expectations.write(KEY, async () => {
      const unchanged = await client.apply<Widget>(WIDGETS, widget('a', 1));
      server.put(WIDGETS, widget('a', 2));
      await until('shown', () => informer.get('default/a')?.spec?.size === 2);
      return unchanged;
    });
    expect(expectations.holdMs(KEY)).to.equal(null);
  });

  it('a version of somebody else does not count for ours', async () => {
    await apply(1);
    await free();
    server.holdWatches();
    server.put(WIDGETS, widget('a', 5));
    await apply(2);
    const [watch] = server.watches;
    watch?.raw(
      `${JSON.stringify({ type: 'MODIFIED', object: { ...widget('a', 5), metadata: { ...server.find(WIDGETS, REF)?.metadata, resourceVersion: 'other' } } })}\n`,
    );
    await until('shown', () => informer.get('default/a')?.spec?.size === 5);
    expect(expectations.holdMs(KEY)).not.to.equal(null);
    server.releaseWatches();
    await free();
  });

  it('creations: of ours, and of what was there already', async () => {
    server.holdWatches();
    const create = (): Promise<{ created: boolean }> =>
      expectations.create(KEY, () => client.createIfAbsent<Widget>(WIDGETS, widget('a')));
    expect((await create()).created).to.equal(true);
    expect((await create()).created).to.equal(false);
    expect(expectations.holdMs(KEY)).to.equal(5_000);
    server.releaseWatches();
    await free();
    await create();
    expect(expectations.holdMs(KEY)).to.equal(null);
  });

  it('deletions: shown is that it is gone, or about to go', async () => {
    for (const finalizers of [[], ['kit.test/held']]) {
      const { metadata } = server.put(WIDGETS, { metadata: { ...REF, finalizers } });
      await until('shown', () => informer.byUid(metadata.uid) !== undefined);
      server.holdWatches();
      const remove = (): Promise<'deleted' | 'absent'> => client.delete(WIDGETS, REF, { uid: metadata.uid });
      await expectations.remove(KEY, metadata.uid, remove);
      expect(expectations.holdMs(KEY)).to.equal(5_000);
      server.releaseWatches();
      await free();
      await expectations.remove(KEY, metadata.uid, remove);
      expect(expectations.holdMs(KEY), 'it was shown before').to.equal(null);
    }
  });

  it('an object that is gone again is waited for no more', async () => {
    server.holdWatches();
    await apply(1);
    server.remove(WIDGETS, REF);
    expect(expectations.holdMs(KEY)).to.equal(5_000);
    server.releaseWatches();
    await free();
  });

  it('behind a cache that is 30 s stale it holds the key, lists again, and goes on with the truth', async () => {
    server.holdWatches();
    await apply(1);
    await time.advance(4_999);
    expect(expectations.holdMs(KEY)).to.equal(1);
    expect(informer.list()).to.deep.equal([]);
    await time.advance(1);
    expect(expectations.holdMs(KEY)).to.equal(295_000);
    await until('listed again', () => expectations.holdMs(KEY) === null, time);
    expect(reasons).to.deep.equal(['start', 'own write']);
    expect(informer.get('default/a')?.spec?.size).to.equal(1);
    expect(events.map(({ type }) => type)).to.deep.equal(['overdue', 'shown']);
  });

  it('a list that began before the answer came proves nothing', async () => {
    server.fail({ when: ({ isWatch }) => isWatch, with: { status: 503 } });
    server.cutWatches();
    const lists = (): number =>
      server.requests.filter(({ method, isWatch }) => method === 'GET' && !isWatch).length;
    let open = (): void => undefined;
    gate = new Promise((resolve) => (open = resolve));
    informer.relist('before');
    await until('the server was asked', () => lists() === 2, time);
    await time.advance(1);
    await apply(1);
    open();
    await until('listed', () => reasons.includes('before'), time);
    expect(informer.list()).to.deep.equal([]);
    expect(expectations.holdMs(KEY)).not.to.equal(null);
    informer.relist('after');
    await until('free', () => expectations.holdMs(KEY) === null, time);
    expect(informer.list()).to.have.length(1);
  });

  it('lets a key go at the bound, when not even a list shows its write, and tells', async () => {
    server.fail({ when: ({ method }) => method === 'GET', with: { status: 503 } });
    server.cutWatches();
    await apply(1);
    await time.advance(5_000);
    expect(expectations.holdMs(KEY)).to.equal(295_000);
    await time.advance(294_999);
    expect(expectations.holdMs(KEY)).to.equal(1);
    await time.advance(1);
    expect(expectations.holdMs(KEY)).to.equal(null);
    expect(events.at(-1)).to.deep.equal({ type: 'givenUp', key: KEY, afterMs: 300_000 });
  });

  it('a write without an answer may have been carried out: only a list tells', async () => {
    server.holdWatches();
    server.fail({ when: ({ method }) => method === 'PATCH', times: 1, with: { cutAfterBytes: 10 } });
    await rejection(apply(1), 'Unreachable');
    expect(informer.list()).to.deep.equal([]);
    expect(expectations.holdMs(KEY)).to.equal(300_000);
    await until('listed again', () => expectations.holdMs(KEY) === null, time);
    expect(informer.list()).to.have.length(1);
  });

  it('a write that was refused holds nothing', async () => {
    server.admit(() => 'no');
    await rejection(apply(1), 'Forbidden');
    expect(expectations.holdMs(KEY)).to.equal(null);
  });

  it('refuses bounds that cannot work', () => {
    const make = (): unknown => new Expectations({ informer, time, limits: { giveUpAfterMs: 1 } });
    expect(make).to.throw(RangeError, /must hold/);
  });
});
