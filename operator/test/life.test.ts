// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { PODS, SECRETS, SERVICES, VMIS } from '../api/resources.js';
import type { Pod } from '../api/objects.js';
import { LABELS, LIVE_GATE } from '../names.js';
import { NAMESPACE } from './cluster.js';
import { eventsOf, gone, protectedAgain, Run, told, word, type Until } from './driver.js';
import { FakeOperator, Installation } from './installation.js';

/** From nothing to protected, through the loss of the primary's node, to protected again. */
async function wholeLife(run: Run): Promise<void> {
  const { installation } = run;
  installation.apply();
  await run.until(word('Protected'));
  const first = installation.vm.status?.primary;
  installation.cluster.kill(first?.node ?? '');
  await run.until(protectedAgain(first?.vmi ?? ''));
  // What is left to be done: nothing that a standing operator would still do.
  await run.steps(5);
}

/** All that must be so after `wholeLife`, whatever happened to the operator. */
function expectWholeLife(installation: Installation): void {
  const { cluster, vm, api } = installation;
  const { status } = vm;
  const account = told(installation);
  expect(status?.status, account).to.equal('Protected');
  expect(status?.epoch, account).to.equal(3);
  expect(installation.made, 'VMIs made').to.have.length(3);
  expect(installation.crimes).to.deep.equal([]);
  expect(status?.sides?.map(({ vmi }) => vmi)).to.deep.equal(installation.made.slice(1));
  expect(status?.primary?.vmi).to.equal(installation.made[1]);
  expect(status?.backup?.vmi).to.equal(installation.made[2]);
  expect(status?.lastFailover?.gapMs).to.equal(42);
  expect(cluster.vmis.map(({ metadata }) => metadata.name)).to.have.members(installation.made.slice(1));
  expect(cluster.pods).to.have.length(2);
  expect(api.list(SECRETS, NAMESPACE)).to.have.length(2);
  expect(liveOnes(installation)).to.deep.equal([installation.made[1]]);
}

const isLive = ({ status }: Pod): boolean =>
  (status?.conditions ?? []).some(({ type, status: is }) => type === LIVE_GATE && is === 'True');

/** Sides to which the Service leads. */
function liveOnes({ cluster }: Installation): (string | undefined)[] {
  return cluster.pods
    .filter((pod) => pod.metadata.labels?.[LABELS.role] === 'primary' && isLive(pod))
    .map((pod) => pod.metadata.labels?.[LABELS.vmi]);
}

const kindsLeft = ({ api }: Installation): number[] =>
  [VMIS, PODS, SECRETS, SERVICES].map((resource) => api.list(resource, NAMESPACE).length);

describe('an operator, over stand-ins of API server, cluster, sidecars and lease store', function () {
  this.timeout(300_000);
  let installation: Installation;

  beforeEach(async () => {
    installation = await Installation.start();
  });

  afterEach(async () => {
    await installation.close();
  });

  it('starts a VM, protects it, sees a failover, removes what is lost, and protects it again', async () => {
    const run = new Run(installation);
    await wholeLife(run);
    expectWholeLife(installation);
    expect(run.failures).to.deep.equal([]);
  });

  it('leads each backup to its primary over the network that is named for that, and its API by the pod network', async () => {
    const run = new Run(installation);
    installation.apply({ placement: { loggingNetwork: 'ft/log' } });
    await run.until(word('Protected'));
    const first = installation.vm.status?.primary;
    installation.cluster.kill(first?.node ?? '');
    await run.until(protectedAgain(first?.vmi ?? ''));
    const [, backup, next] = installation.made.map((vmi) => installation.cluster.sidecarOf(vmi));
    const followed = backup?.place;
    expect(followed?.loggingIp).to.match(/^192\.168\.9\./);
    expect(next?.config.start).to.deep.equal({
      role: 'backup',
      peer: { host: followed?.loggingIp, port: 7700, api: 7701, apiHost: followed?.ip },
    });
  });

  it('makes no backup that could not reach its primary over that network, and says what the network lacks', async () => {
    const run = new Run(installation);
    installation.cluster.ipam = false;
    installation.apply({ placement: { loggingNetwork: 'ft/log' } });
    await run.until(word('Need Secondary VM'));
    await run.steps(10);
    expect(installation.made).to.have.length(1);
    const words = installation.vm.status?.conditions?.map(({ message }) => message).join('; ');
    expect(words).to.match(/ft\/log.*must assign addresses \(ipam\)/);
  });

  it('does nothing for a VM that is protected', async () => {
    const run = new Run(installation);
    installation.apply();
    await run.until(word('Protected'));
    await run.steps(3);
    const before = run.effects;
    await run.steps(20);
    expect(run.effects).to.equal(before);
  });

  it('runs on alone when nobody wants a backup, and is protected again when somebody does', async () => {
    const run = new Run(installation);
    installation.apply();
    await run.until(word('Protected'));
    installation.apply({ suspended: true });
    await run.until(word('Disabled'));
    await run.steps(5);
    expect(installation.cluster.vmis).to.have.length(1);
    expect(installation.crimes).to.deep.equal([]);
    installation.apply({ suspended: false });
    await run.until(word('Protected'));
    expect(installation.made).to.have.length(3);
  });

  it('starts a VM that is suspended from the beginning, without a backup', async () => {
    const run = new Run(installation);
    installation.apply({ suspended: true });
    await run.until(word('Disabled'));
    await run.steps(5);
    expect(installation.made).to.have.length(1);
  });

  it('removes all of a VM that is deleted, its lease too', async () => {
    const run = new Run(installation);
    installation.apply();
    await run.until(word('Protected'));
    installation.delete();
    await run.until(gone);
    await run.steps(3);
    expect(kindsLeft(installation)).to.deep.equal([0, 0, 0, 0]);
    expect(installation.cluster.store.record).to.equal(null);
  });

  it('waits, when it is deleted, for a live side on a node that is away, and says so', async () => {
    const run = new Run(installation);
    installation.apply();
    await run.until(word('Protected'));
    const { primary, backup } = installation.vm.status ?? {};
    installation.cluster.kill(backup?.node ?? '');
    await run.steps(2);
    installation.cluster.cut(primary?.node ?? '');
    await run.steps(6);
    installation.delete();
    await run.steps(30);
    const stalled = installation.vm.status?.conditions?.find(({ type }) => type === 'Stalled');
    expect(stalled).to.include({ status: 'True', reason: 'NodeAway' });
    expect(stalled?.message).to.contain(primary?.vmi);
    expect(installation.cluster.pods.map(({ metadata }) => metadata.labels?.[LABELS.vmi])).to.include(
      primary?.vmi,
    );
    installation.cluster.bringBack(primary?.node ?? '');
    await run.until(gone);
  });

  describe('killed at each effect, and started again', () => {
    for (const when of ['before', 'after'] as const) {
      it(`${when} it is done: the same in the end`, async () => {
        const plain = new Run(installation);
        await wholeLife(plain);
        expect(plain.effects).to.be.greaterThan(15);
        for (let effect = 1; effect <= plain.effects; effect++) {
          const another = await Installation.start();
          try {
            const run = Run.dyingAt(another, effect, when);
            await wholeLife(run);
            expect(run.deaths, `effect ${effect}`).to.equal(1);
            expect(eventsOf(another), `effect ${effect}: each event once`).to.deep.equal(
              eventsOf(installation),
            );
            expectWholeLife(another);
          } finally {
            await another.close();
          }
        }
      });
    }

    it('also while the VM is deleted', async () => {
      const deleted = async (run: Run): Promise<number> => {
        run.installation.apply();
        await run.until(word('Protected'));
        const before = run.effects;
        run.installation.delete();
        await run.until(gone);
        await run.steps(3);
        expect(kindsLeft(run.installation)).to.deep.equal([0, 0, 0, 0]);
        expect(run.installation.cluster.store.record).to.equal(null);
        return before;
      };
      const plain = new Run(installation);
      const before = await deleted(plain);
      for (let effect = before + 1; effect <= plain.effects; effect++) {
        const another = await Installation.start();
        try {
          await deleted(Run.dyingAt(another, effect, 'after'));
        } finally {
          await another.close();
        }
      }
    });
  });

  describe('two operators at once', () => {
    it('do what one does', async () => {
      const run = new Run(installation, [new FakeOperator(installation), new FakeOperator(installation)]);
      await wholeLife(run);
      expectWholeLife(installation);
      // Who of them looks in which moment of a failover is anybody's guess; that it is told once is not.
      const told = eventsOf(installation).map((one) => one.replace(/^Warning .*/, 'Warning'));
      expect(told).to.deep.equal([
        'Normal Protected',
        'Normal Protected',
        'Normal Started',
        'Normal WentLive',
        'Warning',
      ]);
    });

    it('of which one sees everything late', async () => {
      const late = new FakeOperator(installation);
      const run = new Run(installation, [new FakeOperator(installation), late]);
      const everyThird = setFreezes(late);
      installation.apply();
      await run.until(everyThird(word('Protected')));
      const first = installation.vm.status?.primary;
      installation.cluster.kill(first?.node ?? '');
      await run.until(everyThird(protectedAgain(first?.vmi ?? '')));
      late.thaw();
      await run.steps(5);
      expectWholeLife(installation);
    });
  });

  describe('a cache that stands still', () => {
    for (const name of ['vmis', 'pods', 'ftvms', 'secrets', 'nodes'] as const) {
      it(`of ${name}, from the beginning: no second VMI`, async () => {
        const operator = new FakeOperator(installation);
        const run = new Run(installation, [operator]);
        installation.apply();
        await run.steps(1);
        operator.caches[name].freeze();
        await run.steps(30);
        expect(installation.made.length, told(installation)).to.be.at.most(name === 'ftvms' ? 1 : 2);
        expect(installation.crimes).to.deep.equal([]);
        operator.caches[name].thaw();
        await run.until(word('Protected'));
        expect(installation.made, told(installation)).to.have.length(2);
      });
    }

    it('of a process that takes over: what it does not see is not gone', async () => {
      const standby = new FakeOperator(installation);
      const run = new Run(installation);
      installation.apply();
      await run.steps(1);
      standby.caches.vmis.freeze();
      standby.caches.pods.freeze();
      await run.until(word('Protected'));
      run.operators = [standby];
      await run.steps(30);
      expect(installation.made, told(installation)).to.have.length(2);
      expect(installation.crimes).to.deep.equal([]);
      expect(installation.vm.status?.sides).to.have.length(2);
    });
  });
});

/** Lets the caches of an operator stand still two looks of three. */
function setFreezes(operator: FakeOperator): (until: Until) => Until {
  let looks = 0;
  return ({ what, is }) => ({
    what,
    is: (installation) => {
      looks += 1;
      if (looks % 3 === 0) operator.thaw();
      else operator.freeze();
      return is(installation);
    },
  });
}
