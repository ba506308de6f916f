// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { ObjectClient } from './apply.js';
import { AddressError } from './object.js';
import { RestApi } from './rest.js';
import { FakeApi } from './test/fake-api.js';
import { rejection } from './test/rejection.js';
import {
  CONFIG_MAPS,
  NODES,
  PODS,
  WIDGETS,
  configMap,
  widget,
  type ConfigMap,
  type Widget,
} from './test/resources.js';

const REF = { namespace: 'default', name: 'a' };
const FOREIGN = '00000000-0000-4000-8000-00000000ffff';

describe('ObjectClient', function () {
  this.timeout(60_000);

  let server: FakeApi;
  let api: RestApi;
  let client: ObjectClient;
  let other: ObjectClient;

  beforeEach(async () => {
    server = await FakeApi.start();
    api = new RestApi(server.kubeConfig());
    client = new ObjectClient(api, { fieldManager: 'kit' });
    other = new ObjectClient(api, { fieldManager: 'other' });
  });

  afterEach(async () => {
    api.close();
    await server.close();
  });

  describe('apply', () => {
    it('creates, changes, and takes back what it no longer says', async () => {
      await client.apply<ConfigMap>(CONFIG_MAPS, configMap('a', { one: '1', two: '2' }));
      await other.apply<ConfigMap>(CONFIG_MAPS, configMap('a', { three: '3' }));
      const now = await client.apply<ConfigMap>(CONFIG_MAPS, configMap('a', { one: '11' }));
      expect(now.data).to.deep.equal({ one: '11', three: '3' });
    });

    it('changes nothing, not even the version, when all is so already', async () => {
      const first = await client.apply(WIDGETS, widget('a'));
      expect((await client.apply(WIDGETS, widget('a'))).metadata.resourceVersion).to.equal(
        first.metadata.resourceVersion,
      );
    });

    it('takes a field over by force, and meets a conflict without', async () => {
      await other.apply(WIDGETS, widget('a', 1));
      await rejection(client.apply(WIDGETS, widget('a', 2), { force: false }), 'Conflict');
      const taken = await client.apply<Widget>(WIDGETS, widget('a', 2));
      expect(taken.spec?.size).to.equal(2);
      await rejection(other.apply(WIDGETS, widget('a', 3), { force: false }), 'Conflict');
    });

    it('is bound to a version or an identity by the options only', async () => {
      const { metadata } = await client.apply(WIDGETS, widget('a', 1));
      const changed = await other.apply(WIDGETS, { ...widget('a', 2), metadata });
      const { resourceVersion } = metadata;
      await rejection(client.apply(WIDGETS, widget('a', 3), { resourceVersion }), 'Conflict');
      await rejection(client.apply(WIDGETS, widget('a', 3), { uid: FOREIGN }), 'Conflict');
      const now = { uid: metadata.uid, resourceVersion: changed.metadata.resourceVersion };
      expect(await client.apply(WIDGETS, widget('a', 3), now)).to.deep.include({ spec: { size: 3 } });
    });

    it('never creates under a precondition', async () => {
      await rejection(client.apply(WIDGETS, widget('a'), { uid: FOREIGN }), 'Conflict');
      expect(await client.find(WIDGETS, REF)).to.equal(null);
    });
  });

  it('applies a status apart from the rest, and only ours of its conditions', async () => {
    await client.apply(WIDGETS, { ...widget('a'), status: { seen: 9 } });
    expect(await client.get<Widget>(WIDGETS, REF)).not.to.have.property('status');
    const condition = (type: string): Widget => ({
      ...widget('a', 7),
      status: { conditions: [{ type, status: 'True' }] },
    });
    await client.applyStatus(WIDGETS, condition('Ours'));
    const both = await other.applyStatus<Widget>(WIDGETS, condition('Theirs'));
    expect(both.status?.conditions?.map(({ type }) => type)).to.have.members(['Ours', 'Theirs']);
    expect(both.spec?.size).to.equal(1);
    expect(both.metadata.generation).to.equal(1);
    await rejection(client.applyStatus(WIDGETS, widget('absent')), 'NotFound');
  });

  it('creates when nothing is there, and shows what is there', async () => {
    const made = await client.createIfAbsent(WIDGETS, widget('a', 1));
    const found = await client.createIfAbsent<Widget>(WIDGETS, widget('a', 2));
    expect(made.created).to.equal(true);
    expect(found).to.deep.equal({ created: false, object: made.object });
  });

  it('deletes only what it means', async () => {
    const { metadata } = await client.apply(WIDGETS, widget('a'));
    await rejection(client.delete(WIDGETS, REF, { uid: FOREIGN }), 'Conflict');
    await rejection(client.delete(WIDGETS, REF, { resourceVersion: 'old' }), 'Conflict');
    expect(await client.delete(WIDGETS, REF, { uid: metadata.uid })).to.equal('deleted');
    expect(await client.delete(WIDGETS, REF, { uid: metadata.uid })).to.equal('absent');
  });

  it('removes a pod at once with a grace of 0 s, and leaves it to its node otherwise', async () => {
    server.put(PODS, { metadata: REF, spec: { nodeName: 'n' } } as never);
    await client.delete(PODS, REF);
    expect((await client.get(PODS, REF)).metadata.deletionTimestamp).to.be.a('string');
    await client.delete(PODS, REF, { gracePeriodS: 0 });
    expect(await client.find(PODS, REF)).to.equal(null);
  });

  it('leaves an object that a finalizer holds', async () => {
    await client.apply(WIDGETS, { metadata: { ...REF, finalizers: ['kit.test/held'] } });
    await client.delete(WIDGETS, REF);
    expect((await client.get(WIDGETS, REF)).metadata.deletionTimestamp).to.be.a('string');
    await client.mergePatch(WIDGETS, REF, { metadata: { finalizers: null } });
    expect(await client.find(WIDGETS, REF)).to.equal(null);
  });

  it('sets and takes away labels, bound to an identity', async () => {
    const { metadata } = await client.apply(WIDGETS, {
      metadata: { ...REF, labels: { keep: 'x', drop: 'y' } },
    });
    await rejection(client.patchLabels(WIDGETS, REF, { new: 'z' }, { uid: FOREIGN }), 'Conflict');
    const { resourceVersion, uid } = metadata;
    const now = await client.patchLabels(WIDGETS, REF, { new: 'z', drop: null }, { uid, resourceVersion });
    expect(now.metadata.labels).to.deep.equal({ keep: 'x', new: 'z' });
    await rejection(client.patchLabels(WIDGETS, REF, { new: 'a' }, { resourceVersion }), 'Conflict');
    await rejection(client.patchLabels(WIDGETS, { ...REF, name: 'absent' }, {}), 'NotFound');
  });

  it('replaces what it has read, unless somebody was faster', async () => {
    const read = await client.apply<Widget>(WIDGETS, widget('a', 1));
    expect(await client.replace(WIDGETS, { ...read, spec: { size: 2 } })).to.deep.include({
      spec: { size: 2 },
    });
    await rejection(client.replace(WIDGETS, { ...read, spec: { size: 3 } }), 'Conflict');
  });

  it('says what a webhook says', async () => {
    server.admit((operation) => (operation === 'CREATE' ? 'too small' : null));
    expect((await rejection(client.apply(WIDGETS, widget('a')), 'Forbidden')).message).to.include(
      'too small',
    );
  });

  it('refuses an address that is none, before anything is sent', async () => {
    const bad: Promise<unknown>[] = [
      client.get(WIDGETS, { name: 'a' }),
      client.get(NODES, REF),
      client.get(NODES, { name: '..' }),
      client.createIfAbsent(WIDGETS, { metadata: { name: '', namespace: 'default' } }),
    ];
    for (const promise of bad)
      await promise.then(
        () => expect.fail('taken'),
        (error: unknown) => expect(error).to.be.instanceOf(AddressError),
      );
    expect(server.requests).to.deep.equal([]);
  });

  it('an answer that is no object is not taken for one', async () => {
    const lying = new ObjectClient(
      { call: () => Promise.resolve({ kind: 'Status' }), stream: () => Promise.reject(new Error('no')) },
      { fieldManager: 'kit' },
    );
    await rejection(lying.get(WIDGETS, REF), 'Malformed');
  });
});
