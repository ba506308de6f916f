// SPDX-License-Identifier: Apache-2.0
/**
 * What the kit relies on in an API server, as one suite for the stand-in and for a real one: where they differ, tests
 * against the stand-in prove nothing.
 */
import { expect } from 'chai';
import type { Api } from '../api.js';
import { ObjectClient } from '../apply.js';
import { Informer } from '../informer.js';
import { LEASES, newLease, type Lease } from '../lease.js';
import { listAll } from '../list.js';
import { listPath, type KubeObject } from '../object.js';
import { realTime } from '../time.js';
import { watchEvents, type WatchEvent } from '../watch-events.js';
import { rejection } from './rejection.js';
import { CONFIG_MAPS, PODS, type ConfigMap } from './resources.js';
import { until } from './until.js';

export interface Place {
  readonly api: Api;
  /** Empty, and the test's own. */
  readonly namespace: string;
}

interface Pod extends KubeObject {
  readonly spec?: unknown;
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

const FOREIGN = '00000000-0000-4000-8000-00000000ffff';
const never = new AbortController().signal;
/** Nobody schedules it: it stays as it is made. */
const POD_SPEC = { schedulerName: 'nobody', containers: [{ name: 'c', image: 'none' }] };

export function describeApiContract(what: string, placeOf: () => Place): void {
  describe(`The API server's side of the contract: ${what}`, function () {
    this.timeout(300_000);
    let api: Api;
    let namespace: string;
    let ours: ObjectClient;
    let theirs: ObjectClient;
    let count = 0;
    let name: string;

    const ref = (): { name: string; namespace: string } => ({ name, namespace });
    const map = (data: Record<string, string>, labels?: Record<string, string>): ConfigMap => ({
      metadata: { ...ref(), ...(labels === undefined ? {} : { labels }) },
      data,
    });

    beforeEach(() => {
      ({ api, namespace } = placeOf());
      ours = new ObjectClient(api, { fieldManager: 'ours' });
      theirs = new ObjectClient(api, { fieldManager: 'theirs' });
      name = `contract-${++count}`;
    });

    it('apply creates, changes, and takes back what is no longer said', async () => {
      const made = await ours.apply<ConfigMap>(CONFIG_MAPS, map({ one: '1', two: '2' }));
      await theirs.apply<ConfigMap>(CONFIG_MAPS, map({ three: '3' }));
      const now = await ours.apply<ConfigMap>(CONFIG_MAPS, map({ one: '11' }));
      expect(now.data).to.deep.equal({ one: '11', three: '3' });
      expect(now.metadata.uid).to.equal(made.metadata.uid);
      expect(now.metadata.resourceVersion).not.to.equal(made.metadata.resourceVersion);
    });

    it('an apply that changes nothing makes no version', async () => {
      const first = await ours.apply(CONFIG_MAPS, map({ one: '1' }));
      const second = await ours.apply(CONFIG_MAPS, map({ one: '1' }));
      expect(second.metadata.resourceVersion).to.equal(first.metadata.resourceVersion);
    });

    it('a field of another manager is a conflict, or taken by force', async () => {
      await theirs.apply(CONFIG_MAPS, map({ one: '1' }));
      const refused = await rejection(
        ours.apply(CONFIG_MAPS, map({ one: '2' }), { force: false }),
        'Conflict',
      );
      expect(refused.message).to.include('theirs');
      await ours.apply(CONFIG_MAPS, map({ one: '2' }));
      await rejection(theirs.apply(CONFIG_MAPS, map({ one: '3' }), { force: false }), 'Conflict');
    });

    it('an apply bound to an identity or a version', async () => {
      await rejection(ours.apply(CONFIG_MAPS, map({ one: '1' }), { uid: FOREIGN }), 'Conflict');
      const { uid, resourceVersion } = (await ours.apply(CONFIG_MAPS, map({ one: '1' }))).metadata;
      await rejection(ours.apply(CONFIG_MAPS, map({ one: '2' }), { uid: FOREIGN }), 'Conflict');
      await ours.apply(CONFIG_MAPS, map({ one: '2' }), { uid, resourceVersion });
      await rejection(ours.apply(CONFIG_MAPS, map({ one: '3' }), { resourceVersion }), 'Conflict');
    });

    it('a status has a door of its own, and each manager its conditions', async () => {
      const pod: Pod = { metadata: ref(), spec: POD_SPEC };
      const condition = (type: string): Pod => ({
        metadata: ref(),
        status: { conditions: [{ type, status: 'True' }] },
      });
      await rejection(ours.applyStatus(PODS, condition('kit.test/ours')), 'NotFound');
      const made = await ours.createIfAbsent<Pod>(PODS, pod);
      await ours.applyStatus(PODS, condition('kit.test/ours'));
      const both = await theirs.applyStatus<Pod>(PODS, condition('kit.test/theirs'));
      const types = both.status?.conditions?.map(({ type }) => type);
      expect(types).to.include.members(['kit.test/ours', 'kit.test/theirs']);
      expect(both.metadata.uid).to.equal(made.object.metadata.uid);
      expect(await ours.delete(PODS, ref(), { gracePeriodS: 0 })).to.equal('deleted');
      expect(await ours.find(PODS, ref())).to.equal(null);
    });

    it('creates once', async () => {
      const first = await ours.createIfAbsent<ConfigMap>(CONFIG_MAPS, map({ one: '1' }));
      const second = await ours.createIfAbsent<ConfigMap>(CONFIG_MAPS, map({ one: '2' }));
      expect([first.created, second.created]).to.deep.equal([true, false]);
      expect(second.object.data).to.deep.equal({ one: '1' });
    });

    it('deletes what is meant, or nothing', async () => {
      const { uid, resourceVersion } = (await ours.apply(CONFIG_MAPS, map({}))).metadata;
      await theirs.apply(CONFIG_MAPS, map({ one: '1' }));
      await rejection(ours.delete(CONFIG_MAPS, ref(), { uid: FOREIGN }), 'Conflict');
      await rejection(ours.delete(CONFIG_MAPS, ref(), { uid, resourceVersion }), 'Conflict');
      expect(await ours.delete(CONFIG_MAPS, ref(), { uid })).to.equal('deleted');
      expect(await ours.delete(CONFIG_MAPS, ref(), { uid })).to.equal('absent');
    });

    it('a finalizer holds an object until it is taken away', async () => {
      await ours.apply(CONFIG_MAPS, { metadata: { ...ref(), finalizers: ['kit.test/held'] } });
      expect(await ours.delete(CONFIG_MAPS, ref())).to.equal('deleted');
      expect((await ours.get(CONFIG_MAPS, ref())).metadata.deletionTimestamp).to.be.a('string');
      await ours.mergePatch(CONFIG_MAPS, ref(), { metadata: { finalizers: null } });
      expect(await ours.find(CONFIG_MAPS, ref())).to.equal(null);
    });

    it('labels by merge patch, bound to an identity or a version', async () => {
      const { uid, resourceVersion } = (await ours.apply(CONFIG_MAPS, map({}, { keep: 'x', drop: 'y' })))
        .metadata;
      await rejection(ours.patchLabels(CONFIG_MAPS, ref(), { new: 'z' }, { uid: FOREIGN }), 'Conflict');
      const now = await ours.patchLabels(
        CONFIG_MAPS,
        ref(),
        { new: 'z', drop: null },
        { uid, resourceVersion },
      );
      expect(now.metadata.labels).to.deep.equal({ keep: 'x', new: 'z' });
      await rejection(ours.patchLabels(CONFIG_MAPS, ref(), { new: 'a' }, { resourceVersion }), 'Conflict');
      await rejection(ours.patchLabels(CONFIG_MAPS, { ...ref(), name: 'absent' }, { a: 'b' }), 'NotFound');
    });

    it('a replacement is bound to the version that was read; one that changes nothing makes none', async () => {
      const lease = newLease(ref(), { identity: 'a', durationMs: 15_000, now: new Date() });
      const { object } = await ours.createIfAbsent<Lease>(LEASES, lease);
      const same = await ours.replace<Lease>(LEASES, object);
      expect(same.metadata.resourceVersion).to.equal(object.metadata.resourceVersion);
      await ours.replace<Lease>(LEASES, { ...object, spec: { ...object.spec, holderIdentity: 'b' } });
      await rejection(ours.replace<Lease>(LEASES, object), 'Conflict');
    });

    describe('lists and watches', () => {
      const label = (): string => `kit.test/of=${name}`;
      const scope = (): { resource: typeof CONFIG_MAPS; namespace: string; labelSelector: string } => ({
        resource: CONFIG_MAPS,
        namespace,
        labelSelector: label(),
      });
      const labelled = (suffix: string, data: Record<string, string> = {}): ConfigMap => ({
        metadata: { name: `${name}-${suffix}`, namespace, labels: { 'kit.test/of': name } },
        data,
      });
      const put = (suffix: string, data: Record<string, string> = {}): Promise<unknown> =>
        ours.apply(CONFIG_MAPS, labelled(suffix, data));

      it('a list in pages is one moment', async () => {
        for (const suffix of ['a', 'b', 'c']) await put(suffix);
        const { items } = await listAll<ConfigMap>(api, scope(), 1, never);
        expect(items.map(({ metadata }) => metadata.name)).to.deep.equal(
          ['a', 'b', 'c'].map((s) => `${name}-${s}`),
        );
        expect(items.every(({ kind }) => kind === 'ConfigMap')).to.equal(true);
      });

      it('a watch goes on from the version of a list: new, changed, leaving the selector, gone', async () => {
        await put('a');
        const { resourceVersion } = await listAll(api, scope(), 500, never);
        await put('a', { one: '1' });
        await put('b');
        await ours.patchLabels(CONFIG_MAPS, { namespace, name: `${name}-a` }, { 'kit.test/of': 'nobody' });
        await ours.delete(CONFIG_MAPS, { namespace, name: `${name}-b` });
        const events = await readWatch(resourceVersion, 4);
        expect(events.map(({ type }) => type)).to.deep.equal(['MODIFIED', 'ADDED', 'DELETED', 'DELETED']);
        const versions = events.map(
          ({ object }) => (object as { metadata: { resourceVersion: string } }).metadata.resourceVersion,
        );
        expect(new Set([resourceVersion, ...versions]).size, 'each event has a version of its own').to.equal(
          5,
        );
        expect(await readWatch(versions[1] ?? '', 2), 'from there it is the rest').to.deep.equal(
          events.slice(2),
        );
      });

      it('an informer has what is there, and follows', async () => {
        await put('a');
        const told: string[] = [];
        const informer = new Informer<ConfigMap>({ api, ...scope(), time: realTime, random: () => 0 });
        informer.on({
          add: ({ metadata }) => told.push(`add ${metadata.name.slice(-1)}`),
          update: ({ metadata }) => told.push(`update ${metadata.name.slice(-1)}`),
          delete: ({ metadata }) => told.push(`delete ${metadata.name.slice(-1)}`),
        });
        informer.start();
        await informer.waitSynced();
        await put('b');
        await put('a', { one: '1' });
        await ours.delete(CONFIG_MAPS, { namespace, name: `${name}-b` });
        await until('all is told', () => told.length === 4);
        await informer.fresh();
        await informer.stop();
        expect(told).to.deep.equal(['add a', 'add b', 'update a', 'delete b']);
      });

      it('refuses a token and a version that are none', async () => {
        const path = listPath(CONFIG_MAPS, namespace);
        const list = api.call({ method: 'GET', path, query: { limit: '1', continue: 'nonsense' } });
        const refused: unknown = await list.catch((error: unknown) => error);
        expect(refused).to.have.property('code').that.is.oneOf(['Gone', 'Invalid']);
        await rejection(readWatch('nonsense', 1), 'Unavailable');
      });

      async function readWatch(resourceVersion: string, many: number): Promise<WatchEvent[]> {
        const path = listPath(CONFIG_MAPS, namespace);
        const query = { watch: 'true', resourceVersion, labelSelector: label() };
        const events: WatchEvent[] = [];
        const stream = await api.stream({ method: 'GET', path, query });
        for await (const event of watchEvents(stream, path)) if (events.push(event) === many) break;
        return events;
      }
    });
  });
}
