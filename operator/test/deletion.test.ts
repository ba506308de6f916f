// SPDX-License-Identifier: Apache-2.0
/** A VM that is deleted goes, whatever is gone or hangs around it. */
import { expect } from 'chai';
import { EVENTS, PODS, SECRETS, SERVICES, VMIS } from '../api/resources.js';
import { STOP_MS_MAX } from '../farewell.js';
import { NAMESPACE } from './cluster.js';
import { gone, Run, told, word, type Until } from './driver.js';
import { Installation, STORE } from './installation.js';

const STEP_MS = 1_000;

describe('a VM that is deleted', function () {
  this.timeout(300_000);
  let installation: Installation;
  let run: Run;

  beforeEach(async () => {
    installation = await Installation.start();
    run = new Run(installation);
    installation.apply();
    await run.until(word('Protected'));
  });

  afterEach(async () => {
    await installation.close();
  });

  const conditionOf = (type: string) =>
    installation.find()?.status?.conditions?.find((condition) => condition.type === type);
  const owner = () => {
    const [one] = installation.cluster.owners;
    if (one === undefined) throw new Error(`nobody runs the VM: ${told(installation)}`);
    return one;
  };
  const doomed = (): boolean[] =>
    installation.cluster.vmis.map(({ metadata }) => metadata.deletionTimestamp !== undefined);
  /** By the clocks of API server and cluster, which differ here. */
  const deletedFor = (ms: number): Until => ({
    what: `deleted for ${ms} ms`,
    is: ({ cluster, vm }) =>
      cluster.now().getTime() + STEP_MS - Date.parse(vm.metadata.deletionTimestamp ?? '') > ms,
  });
  const eventsOf = (reason: string) => installation.events.filter((event) => event.reason === reason);

  async function expectNothingLeft(): Promise<void> {
    await run.steps(2); // of the garbage collector
    for (const resource of [VMIS, PODS, SECRETS, SERVICES])
      expect(installation.api.list(resource, NAMESPACE), resource.plural).to.deep.equal([]);
  }

  describe('whose lease store', () => {
    it('has no Secret any more: it goes, and an event tells which key stays', async () => {
      installation.api.remove(SECRETS, STORE);
      installation.delete();
      await run.steps(1);
      const key = `lockstep:{db-${installation.vm.metadata.uid.replaceAll('-', '').slice(0, 8)}}`;
      expect(conditionOf('Ready')?.message)
        .to.contain(key)
        .and.to.contain('there is no Secret lockstep-store');
      await run.until(gone);
      const [event, ...more] = eventsOf('LeaseLeftBehind');
      expect(more).to.deep.equal([]);
      expect(event?.note).to.contain(key).and.to.contain('there is no Secret lockstep-store');
      await expectNothingLeft();
    });

    it('has no Secret any more, in a namespace that takes no events because it goes as well', async () => {
      installation.api.fail({
        when: ({ method, path }) => method === 'POST' && path.endsWith(`/${EVENTS.plural}`),
        with: { status: 403, reason: 'Forbidden' },
      });
      installation.api.remove(SECRETS, STORE);
      installation.delete();
      await run.until(gone);
    });

    it('has a Secret that makes no sense: it waits, says so, and goes when a person gives up that Secret', async () => {
      installation.putStoreSecret({ host: 'store.test', port: 'redis' });
      installation.delete();
      await run.steps(30);
      expect(conditionOf('Stalled')).to.include({ status: 'True', reason: 'LOCKSTEP_STORE_SECRET' });
      expect(conditionOf('Stalled')?.message).to.contain('Secret lockstep-store').and.to.contain('port: ');
      installation.api.remove(SECRETS, STORE);
      await run.until(gone);
    });

    it('is away: it waits, says so, and goes when the store is back', async () => {
      installation.cluster.store.up = false;
      installation.delete();
      await run.steps(30);
      expect(installation.cluster.vmis).to.deep.equal([]);
      expect(conditionOf('Ready')).to.include({ status: 'False', reason: 'Deleting' });
      expect(conditionOf('Ready')?.message).to.contain('the lease store does not answer: unreachable');
      expect(conditionOf('Stalled')).to.include({ status: 'True' });
      installation.cluster.store.up = true;
      await run.until(gone);
      expect(installation.cluster.store.record).to.equal(null);
    });
  });

  describe('whose owner takes the order to stop and runs on', () => {
    it('gets its time; then the VMIs are deleted', async () => {
      owner().isStubborn = true;
      installation.delete();
      await run.until(deletedFor(STOP_MS_MAX));
      expect(owner().owns).to.equal(true);
      expect(doomed()).to.deep.equal([false, false]);
      expect(conditionOf('Ready')?.message).to.contain(`being removed: ${owner().place.vmi} on `);
      const vmi = owner().place.vmi;
      await run.until(gone);
      expect(eventsOf('StopOverdue').map(({ type, note }) => [type, note.split(' ')[0]])).to.deep.equal([
        ['Warning', vmi],
      ]);
      await expectNothingLeft();
    });

    it('on a node that is not heard: it is left alone, and goes with the node’s return', async () => {
      const live = owner();
      live.isStubborn = true;
      installation.cluster.unready(live.place.node);
      installation.delete();
      await run.steps(STOP_MS_MAX / STEP_MS + 20);
      expect(live.owns, told(installation)).to.equal(true);
      expect(conditionOf('Stalled')).to.include({ status: 'True', reason: 'NodeAway' });
      installation.cluster.bringBack(live.place.node);
      await run.until(gone);
    });
  });

  it('whose sides both say that they run it goes with both', async () => {
    for (const sidecar of installation.cluster.sidecars.values()) sidecar.phase = 'alone';
    installation.delete();
    await run.steps(1);
    expect(doomed()).to.deep.equal([true, true]);
    await run.until(gone);
    await expectNothingLeft();
  });
});
