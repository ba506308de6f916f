// SPDX-License-Identifier: Apache-2.0
/** The operator as a whole, also twice: over a stand-in of an API server, with sidecars that answer by mutual TLS. */
import { expect } from 'chai';
import { PODS, SECRETS, SERVICES, VMIS } from './api/resources.js';
import type { Pod } from './api/objects.js';
import { LABELS, LIVE_GATE } from './names.js';
import { NAMESPACE } from './test/cluster.js';
import { eventsOf, gone, protectedAgain, told, word, type Until } from './test/driver.js';
import { Installation } from './test/installation.js';
import { Replicas, type Replica } from './test/replicas.js';
import { loopbackOf } from './test/stations.js';

/** Longer than a lease lasts, and than it takes to notice. */
const TAKE_OVER_MS = 30_000;

describe('the operator, put together', function () {
  this.timeout(300_000);
  let installation: Installation;
  let replicas: Replicas;

  beforeEach(async () => {
    installation = await Installation.start(undefined, loopbackOf(process.pid));
    replicas = new Replicas(installation);
  });

  afterEach(async () => {
    await replicas.close();
    await installation.close();
  });

  const leads = ({ identity }: Replica): Until => ({
    what: `led by ${identity}`,
    is: () => replicas.leader === identity,
  });

  const liveSides = (): (string | undefined)[] =>
    installation.cluster.pods
      .filter(({ status }: Pod) =>
        status?.conditions?.some(({ type, status: is }) => type === LIVE_GATE && is === 'True'),
      )
      .map(({ metadata }) => metadata.labels?.[LABELS.vmi]);

  /** As after a life in which one operator never failed. */
  function expectProtected(made: number): void {
    const { vm, cluster, api } = installation;
    const account = told(installation);
    expect(vm.status?.status, account).to.equal('Protected');
    expect(installation.made, account).to.have.length(made);
    expect(vm.status?.sides?.map(({ vmi }) => vmi)).to.deep.equal(installation.made.slice(-2));
    expect(cluster.vmis.map(({ metadata }) => metadata.name)).to.have.members(installation.made.slice(-2));
    expect(api.list(SECRETS, NAMESPACE), account).to.have.length(2);
    expect(liveSides()).to.deep.equal([vm.status?.primary?.vmi]);
    expect(installation.crimes).to.deep.equal([]);
    expect(replicas.doubles).to.deep.equal([]);
    expect(replicas.broken).to.deep.equal([]);
    expect(replicas.refused).to.deep.equal([]);
  }

  async function loseThePrimary(): Promise<void> {
    const { vmi = '', node = '' } = installation.vm.status?.primary ?? {};
    installation.cluster.kill(node);
    await replicas.until(protectedAgain(vmi));
    await replicas.pass(5_000);
  }

  it('protects a VM, through the loss of a node, and removes it when it is deleted', async () => {
    const replica = await replicas.start('one');
    expect(replica.operator.isSynced).to.equal(true);
    installation.apply();
    await replicas.until(word('Protected'));
    await replicas.pass(3_000);
    expectProtected(2);
    expect(replica.operator.isOurs(NAMESPACE, installation.made[0] ?? '')).to.equal(true);
    await loseThePrimary();
    expectProtected(3);
    installation.apply({ suspended: true });
    await replicas.until(word('Disabled'));
    installation.delete();
    await replicas.until(gone);
    await replicas.pass(3_000);
    for (const resource of [VMIS, PODS, SECRETS, SERVICES])
      expect(installation.api.list(resource, NAMESPACE), resource.plural).to.deep.equal([]);
    expect(installation.cluster.store.record).to.equal(null);
  });

  it('asks the API server for nothing but its lead while nothing happens', async () => {
    await replicas.start('one');
    installation.apply();
    await replicas.until(word('Protected'));
    await replicas.pass(10_000);
    const before = installation.api.requests.length;
    await replicas.pass(30_000);
    const asked = installation.api.requests.slice(before).map(({ method, path }) => `${method} ${path}`);
    expect(asked.filter((one) => !one.endsWith('/leases/lockstep-operator'))).to.deep.equal([]);
  });

  describe('twice', () => {
    for (const [what, suffix] of [
      ['a VMI', VMIS.plural],
      ['a Secret', SECRETS.plural],
    ] as const)
      it(`and who leads stands still as ${what} is made: the other takes over, nothing is done twice`, async () => {
        const one = await replicas.start('one');
        await replicas.until(leads(one));
        const other = await replicas.start('other');
        let pauses = 0;
        const unadmit = installation.api.admit((operation, _object, { path }) => {
          if (operation === 'CREATE' && path.endsWith(`${NAMESPACE}/${suffix}`) && pauses++ === 0)
            one.process.pause();
          return null;
        });
        installation.apply();
        await replicas.until({ what: 'stood still', is: () => pauses > 0 });
        await replicas.until(leads(other));
        unadmit();
        await replicas.until(word('Protected'));
        await one.process.resume('answers');
        await replicas.pass(5_000);
        expectProtected(2);
        expect(eventsOf(installation)).to.deep.equal(['Normal Protected', 'Normal Started']);
        expect(replicas.leader).to.equal('other');
        await loseThePrimary();
        expectProtected(3);
      });

    it('and who leads is stopped: the other leads at once, and does what is to be done', async () => {
      const one = await replicas.start('one');
      await replicas.until(leads(one));
      const other = await replicas.start('other');
      installation.apply();
      await replicas.until(word('Protected'));
      await replicas.stop(one);
      const { vmi = '', node = '' } = installation.vm.status?.primary ?? {};
      installation.cluster.kill(node);
      await replicas.until(leads(other));
      await replicas.until(protectedAgain(vmi));
      await replicas.pass(5_000);
      expectProtected(3);
    });

    it('and who leads dies amid a failover: the other ends it', async () => {
      const one = await replicas.start('one');
      await replicas.until(leads(one));
      const other = await replicas.start('other');
      installation.apply();
      await replicas.until(word('Protected'));
      const { vmi = '', node = '' } = installation.vm.status?.primary ?? {};
      installation.cluster.kill(node);
      await replicas.until({
        what: 'the lost side is being removed',
        is: ({ cluster }) => cluster.vmis.some(({ metadata }) => metadata.deletionTimestamp !== undefined),
      });
      await one.process.die();
      await replicas.pass(TAKE_OVER_MS);
      expect(replicas.leader).to.equal(other.identity);
      await replicas.until(protectedAgain(vmi));
      await replicas.pass(5_000);
      expectProtected(3);
    });
  });
});
