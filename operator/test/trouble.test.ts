// SPDX-License-Identifier: Apache-2.0
/** What goes wrong around a VM, and what an operator must not make of it. */
import { expect } from 'chai';
import type { Service } from '../api/objects.js';
import { PODS, SERVICES } from '../api/resources.js';
import { ANNOTATIONS } from '../names.js';
import { NAMESPACE } from './cluster.js';
import { gone, protectedAgain, Run, told, word } from './driver.js';
import { FakeOperator, Installation, VM } from './installation.js';

const NODES = ['node-a', 'node-b', 'node-c'];

describe('an operator, when something goes wrong', function () {
  this.timeout(300_000);
  let installation: Installation;
  let run: Run;

  beforeEach(async () => {
    installation = await Installation.start(NODES);
    run = new Run(installation);
  });

  afterEach(async () => {
    await installation.close();
  });

  const conditionOf = (type: string) =>
    installation.vm.status?.conditions?.find((condition) => condition.type === type);
  const sides = () => installation.vm.status?.sides ?? [];

  async function protectedOnce(): Promise<{ readonly primary: string; readonly backup: string }> {
    installation.apply();
    await run.until(word('Protected'));
    const { primary, backup } = installation.vm.status ?? {};
    return { primary: primary?.node ?? '', backup: backup?.node ?? '' };
  }

  /** Both sides die, and their nodes come back without them. */
  async function bothDead(): Promise<void> {
    const { primary, backup } = await protectedOnce();
    installation.cluster.kill(primary);
    installation.cluster.kill(backup);
    await run.steps(2);
    installation.cluster.bringBack(primary);
    installation.cluster.bringBack(backup);
    await run.until(word('VM not Running'));
  }

  describe('no node', () => {
    it('for the first side: it waits, with one VMI, and says why', async () => {
      for (const node of NODES) installation.cluster.kill(node);
      await run.steps(6);
      installation.apply();
      await run.steps(20);
      expect(installation.made, told(installation)).to.have.length(1);
      expect(conditionOf('Ready')).to.include({ status: 'False' });
      expect(conditionOf('Ready')?.message).to.contain('no node is free');
      for (const node of NODES) installation.cluster.bringBack(node);
      await run.until(word('Protected'));
      expect(installation.made).to.have.length(2);
    });

    it('for a backup: the VM runs, one backup waits, and the condition says why', async () => {
      installation.cluster.kill('node-b');
      installation.cluster.kill('node-c');
      await run.steps(6);
      installation.apply();
      await run.until(word('Need Secondary VM'));
      await run.steps(20);
      expect(installation.made, told(installation)).to.have.length(2);
      expect(conditionOf('Ready')).to.include({ status: 'True' });
      expect(conditionOf('Stalled')).to.include({ status: 'True', reason: 'NoSpareHost' });
      expect(conditionOf('Stalled')?.message).to.contain('no node is free');
      installation.cluster.bringBack('node-b');
      await run.until(word('Protected'));
    });
  });

  describe('a sidecar that is not heard for a while', () => {
    it('of a backup that is being made: it is left alone on a node that is ready', async () => {
      installation.apply();
      await run.until({ what: 'a backup joins', is: ({ made }) => made.length === 2 });
      for (let step = 0; step < 20; step++) {
        const backup = installation.cluster.sidecarOf(installation.made[1] ?? '');
        if (backup !== undefined && backup.nonce !== null) backup.mute = step % 2 === 0;
        await run.step();
      }
      await run.until(word('Protected'));
      expect(installation.made, told(installation)).to.have.length(2);
    });

    it('of any side, when the operator is started again', async () => {
      installation.apply();
      await run.until({
        what: 'a backup joins',
        is: ({ cluster, made }) => (cluster.sidecarOf(made[1] ?? '')?.nonce ?? null) !== null,
      });
      await run.steps(1);
      for (const sidecar of installation.cluster.sidecars.values()) sidecar.mute = true;
      run.operators = [new FakeOperator(installation)];
      await run.steps(3);
      for (const sidecar of installation.cluster.sidecars.values()) sidecar.mute = false;
      await run.until(word('Protected'));
      expect(installation.made, told(installation)).to.have.length(2);
    });

    it('and whose engine was another one before: the live side is not taken for lost', async () => {
      installation.apply({ suspended: true });
      await run.until({
        what: 'its QEMU starts',
        is: ({ cluster, made }) => cluster.sidecarOf(made[0] ?? '')?.stage === 'preparing',
      });
      await run.operators[0]?.look();
      const primary = installation.cluster.sidecarOf(installation.made[0] ?? '');
      primary?.restartQemu();
      if (primary) primary.mute = true;
      await run.steps(4);
      expect(primary?.owns, told(installation)).to.equal(true);
      installation.cluster.cut(primary?.place.node ?? '');
      await run.steps(20);
      expect(installation.crimes).to.deep.equal([]);
      expect(installation.cluster.vmis.map(({ metadata }) => metadata.deletionTimestamp)).to.deep.equal([
        undefined,
      ]);
    });
  });

  describe('a backup that ends again and again', () => {
    it('is made again after pauses that grow', async () => {
      installation.apply();
      await run.until(word('Need Secondary VM'));
      const madeAt: number[] = [];
      for (let step = 0; step < 200; step++) {
        const before = installation.made.length;
        await run.step();
        if (installation.made.length > before) madeAt.push(installation.cluster.now().getTime() / 1_000);
        for (const sidecar of installation.cluster.sidecars.values())
          if (sidecar.stage === 'running' && !sidecar.owns) sidecar.finish('loadFailed', 'the test says so');
      }
      const pauses = madeAt.slice(1).map((at, index) => at - (madeAt[index] ?? 0));
      // An attempt takes some seconds by itself.
      expect(pauses.at(-1), pauses.join(', ')).to.be.at.least(30);
      expect(madeAt.length, pauses.join(', ')).to.be.at.most(15);
      expect(conditionOf('Stalled')?.message).to.contain('loadFailed');
    });
  });

  describe('both sides die', () => {
    it('and nobody starts the VM but a person, who is told how', async () => {
      await bothDead();
      await run.steps(20);
      expect(installation.made).to.have.length(2);
      expect(conditionOf('Ready')?.message).to.contain(`${ANNOTATIONS.coldStart}=2`);
      installation.annotate({ [ANNOTATIONS.coldStart]: '1' });
      await run.steps(5);
      expect(installation.made, 'another epoch is no consent').to.have.length(2);
      installation.annotate({ [ANNOTATIONS.coldStart]: '2' });
      await run.until(word('Protected'));
      expect(installation.vm.status?.epoch).to.equal(4);
      expect(installation.made).to.have.length(4);
    });

    it('and a person has said so once: that counts once, also in a store that has forgotten', async () => {
      await bothDead();
      installation.cluster.store.flush();
      installation.annotate({ [ANNOTATIONS.coldStart]: '2' });
      await run.until(word('Protected'));
      const made = installation.made.length;
      const { primary, backup } = installation.vm.status ?? {};
      installation.cluster.kill(primary?.node ?? '');
      installation.cluster.kill(backup?.node ?? '');
      await run.steps(2);
      installation.cluster.bringBack(primary?.node ?? '');
      installation.cluster.bringBack(backup?.node ?? '');
      await run.steps(30);
      expect(installation.made, told(installation)).to.have.length(made);
      expect(installation.vm.status?.status).to.equal('VM not Running');
    });

    it('and a backup was just being made: the consent is taken all the same', async () => {
      installation.apply();
      await run.until({
        what: 'a backup is made',
        is: ({ made }) => made.length === 2,
      });
      const primary = installation.cluster.sidecarOf(installation.made[0] ?? '');
      installation.cluster.kill(primary?.place.node ?? '');
      await run.steps(2);
      installation.cluster.bringBack(primary?.place.node ?? '');
      await run.until(word('VM not Running'));
      installation.annotate({ [ANNOTATIONS.coldStart]: String(installation.vm.status?.epoch) });
      await run.until(word('Protected'));
    });
  });

  describe('the lease store is away', () => {
    it('at the first start: nothing is started, and it is said', async () => {
      installation.cluster.store.up = false;
      installation.apply();
      await run.steps(10);
      expect(installation.made).to.deep.equal([]);
      expect(conditionOf('Stalled')).to.include({ status: 'True', reason: 'StoreAway' });
      installation.cluster.store.up = true;
      await run.until(word('Protected'));
    });

    it('when a node dies: nobody is taken for lost until it is back', async () => {
      const { primary } = await protectedOnce();
      installation.cluster.store.up = false;
      installation.cluster.kill(primary);
      await run.steps(20);
      expect(sides()).to.have.length(2);
      expect(installation.cluster.vmis.map(({ metadata }) => metadata.deletionTimestamp)).to.deep.equal([
        undefined,
        undefined,
      ]);
      installation.cluster.store.up = true;
      await run.until(word('Protected'));
      expect(installation.made).to.have.length(3);
      expect(installation.crimes).to.deep.equal([]);
    });

    it('when the VM is deleted: the finalizer stays until the lease is gone', async () => {
      await protectedOnce();
      installation.cluster.store.up = false;
      installation.delete();
      await run.steps(20);
      expect(installation.find()).to.not.equal(undefined);
      installation.cluster.store.up = true;
      await run.until(gone);
      expect(installation.cluster.store.record).to.equal(null);
    });
  });

  it('leaves a primary that is cut off, and lost, to the lease: removed by force, and ended when it is back', async () => {
    const { primary } = await protectedOnce();
    const before = installation.vm.status?.primary?.vmi ?? '';
    installation.cluster.cut(primary);
    await run.until(protectedAgain(before));
    expect(installation.crimes).to.deep.equal([]);
    installation.cluster.bringBack(primary);
    await run.steps(10);
    expect(installation.cluster.owners).to.have.length(1);
    expect(installation.vm.status?.status).to.equal('Protected');
    expect(installation.made).to.have.length(3);
  });

  it('takes a pod that somebody removed by force for an end, and protects again', async () => {
    await protectedOnce();
    const [pod] = installation.cluster.pods;
    installation.api.remove(PODS, pod?.metadata ?? { name: '' });
    await run.steps(3);
    await run.until(word('Protected'));
    expect(installation.made).to.have.length(3);
  });

  it('removes both sides of a deleted VM even if both say that they run it', async () => {
    await protectedOnce();
    for (const sidecar of installation.cluster.sidecars.values()) sidecar.phase = 'alone';
    await run.steps(1);
    expect(conditionOf('Stalled')).to.include({ status: 'True', reason: 'TwoOwners' });
    installation.delete();
    await run.until(gone);
  });

  it('says what a sidecar says that refuses to start a guest', async () => {
    installation.apply();
    await run.until({ what: 'a sidecar', is: ({ cluster }) => cluster.sidecars.size === 1 });
    const [sidecar] = installation.cluster.sidecars.values();
    if (sidecar) {
      sidecar.stage = 'waiting';
      sidecar.nonce = null;
      sidecar.trouble = { reason: 'userfaultfd', message: 'set vm.unprivileged_userfaultfd=1 on this node' };
    }
    await run.steps(5);
    expect(conditionOf('Stalled')).to.include({ status: 'True', reason: 'userfaultfd' });
    expect(conditionOf('Stalled')?.message).to.contain('vm.unprivileged_userfaultfd=1');
    expect(installation.made).to.have.length(1);
  });

  it('leaves a Service of the same name alone that is not its own, says so, and protects the VM', async () => {
    const spec = { selector: { app: 'another' }, ports: [] };
    installation.api.put<Service>(SERVICES, { metadata: { name: VM, namespace: NAMESPACE }, spec });
    installation.apply();
    await run.until({ what: 'protected', is: ({ cluster }) => cluster.owners[0]?.phase === 'protected' });
    await run.steps(2);
    expect(conditionOf('Stalled')?.message).to.contain(`Service ${VM} is there already`);
    const there = installation.api.find<Service>(SERVICES, { name: VM, namespace: NAMESPACE });
    expect(there?.spec).to.deep.equal(spec);
  });

  it('does nothing for a VM whose reconcile a person has stopped', async () => {
    installation.apply();
    installation.annotate({ [ANNOTATIONS.pausedReconcile]: 'true' });
    await run.steps(5);
    expect(run.effects).to.equal(0);
    expect(installation.api.list(PODS, NAMESPACE)).to.deep.equal([]);
  });
});
