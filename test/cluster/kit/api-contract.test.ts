// SPDX-License-Identifier: Apache-2.0
// The kit against a real API server: that of KUBECONFIG, in a namespace of its own.
import { randomBytes } from 'node:crypto';
import { KubeConfig } from '@kubernetes/client-node';
import { expect } from 'chai';
import { ObjectClient } from '../../../operator/kit/apply.js';
import { LeaderElection } from '../../../operator/kit/election.js';
import { Informer } from '../../../operator/kit/informer.js';
import { INFORMER_LIMITS } from '../../../operator/kit/informer-limits.js';
import type { Resource } from '../../../operator/kit/object.js';
import { RestApi } from '../../../operator/kit/rest.js';
import { describeApiContract } from '../../../operator/kit/test/api-contract.js';
import { CONFIG_MAPS, type ConfigMap } from '../../../operator/kit/test/resources.js';
import { until } from '../../../operator/kit/test/until.js';
import { realTime } from '../../../operator/kit/time.js';

const NAMESPACES: Resource = {
  group: '',
  version: 'v1',
  plural: 'namespaces',
  kind: 'Namespace',
  namespaced: false,
};
const BOOKMARK_WITHIN_MS = INFORMER_LIMITS.silenceMsMax / 2;

const namespace = `kit-${randomBytes(3).toString('hex')}`;
let api: RestApi;

before(async () => {
  const config = new KubeConfig();
  config.loadFromDefault();
  // A cluster that shares two cores with everything else answers late.
  api = new RestApi(config, { callTimeoutMs: 60_000 });
  await new ObjectClient(api, { fieldManager: 'kit-test' }).createIfAbsent(NAMESPACES, {
    metadata: { name: namespace },
  });
});

after(async () => {
  await new ObjectClient(api, { fieldManager: 'kit-test' }).delete(NAMESPACES, { name: namespace });
  api.close();
});

describeApiContract('a real API server', () => ({ api, namespace }));

describe('A real API server', function () {
  this.timeout(BOOKMARK_WITHIN_MS * 2);

  it('tells an idle watch that it lives, at least twice in the time after which it would not be believed', async () => {
    const events: string[] = [];
    const informer = new Informer<ConfigMap>({
      api,
      resource: CONFIG_MAPS,
      namespace,
      fieldSelector: 'metadata.name=nothing-of-that-name',
      time: realTime,
      random: Math.random,
      observe: (event) => events.push(event.type === 'event' ? event.event : event.type),
    });
    informer.start();
    const giveUpMs = realTime.now() + BOOKMARK_WITHIN_MS;
    while (!events.includes('BOOKMARK') && realTime.now() < giveUpMs)
      await new Promise((resolve) => setTimeout(resolve, 200));
    await informer.stop();
    expect(events).to.deep.equal(['relisted', 'watchOpened', 'BOOKMARK', 'watchEnded']);
  });

  it('has one leader of two, and another soon after it was stopped', async () => {
    const make = (identity: string): LeaderElection =>
      new LeaderElection({
        api,
        lease: { namespace, name: 'election' },
        identity,
        time: realTime,
        wallClock: () => new Date(),
        random: Math.random,
        won: () => undefined,
        lost: () => undefined,
      });
    const [a, b] = [make('a'), make('b')];
    a.start();
    await until('a leads', () => a.holds());
    b.start();
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    expect([a.holds(), b.holds()]).to.deep.equal([true, false]);
    await a.stop();
    await until('b leads', () => b.holds());
    expect(a.holds()).to.equal(false);
    await b.stop();
  });
});
