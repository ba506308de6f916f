// SPDX-License-Identifier: Apache-2.0
// A user's first day, in order: install, a VM on a network of its own, one behind a Service, the node that runs both dies.
// Nobody touches anything; then both are deleted, and nothing is left.
import { expect } from 'chai';
import { join } from 'node:path';
import type { Client } from '../../../../cli/demo/client.js';
import { GUEST_PORTS } from '../../../../cli/local/layout.js';
import { run } from '../../../../cli/local/run.js';
import { killNode, startNode } from '../../bed/faults.js';
import { nodesReady } from '../../bed/kind.js';
import { kubectl } from '../../bed/kubectl.js';
import { attachClient, detachClient, nameNetworkOf } from '../../bed/network.js';
import { RELEASE, RELEASE_NAMESPACE } from '../../bed/product.js';
import { BIN, CONTROL_PLANE, WORKER_NAMES } from '../../bed/settings.js';
import { counting, increment, serves } from '../support/clients.js';
import { get, type KubeObject } from '../support/kube.js';
import { Places } from '../support/labels.js';
import { measured } from '../support/measured.js';
import { hasLease } from '../support/store.js';
import { conditionOf, DEAD_AFTER_MS, ownNetwork, TestVm, words, type Ftvm } from '../support/vm.js';
import { itOnBed, theWorld } from '../support/world.js';

const PROTECTED_MS_MAX = 120_000;
/** The lost pod's node must be found dead, and a new backup be cloned, on two cores that all nodes share. */
const PROTECTED_AGAIN_MS_MAX = 240_000;
const SERVED_MS_MAX = 60_000;
const REMOVED_MS_MAX = 120_000;
const HELM_TEST_MS_MAX = 300_000;
const NAMESPACE = 'default';
const ADDRESS = '10.99.0.101';
const CLIENT = 'e2e';

interface Service extends KubeObject {
  readonly spec: { readonly clusterIP: string };
}

describe('the first day', function () {
  this.bail(true); // each step needs the one before
  const common = { namespace: NAMESPACE, deadAfterMs: DEAD_AFTER_MS, guestImage: theWorld().guestImage };
  const places = new Places('web');
  const database = new TestVm({ ...common, name: 'database', attachment: ownNetwork(ADDRESS) });
  const web = new TestVm({
    ...common,
    name: 'web',
    // From 1 GiB on KubeVirt keeps room for hot-plug unless it is told not to.
    memoryMiB: 1024,
    attachment: { kind: 'pod', ports: [GUEST_PORTS.redis] },
    nodeSelector: places.selector,
  });
  let client: Client | undefined;
  let outside = '';
  let inside = '';
  let killed: string | undefined;

  before(async () => {
    if (!theWorld().hasBed) return;
    outside = (await attachClient(CLIENT, '10.99.0.201/24')).namespace;
    inside = await nameNetworkOf(CONTROL_PLANE);
    await places.clear();
  });

  after(async () => {
    client?.kill();
    if (killed !== undefined) await startNode(killed);
    for (const vm of [database, web]) await vm.remove(REMOVED_MS_MAX);
    if (!theWorld().hasBed) return;
    await places.clear();
    await detachClient(CLIENT);
    await detachClient(CONTROL_PLANE);
  });

  itOnBed('helm install has returned because it works: its check passes again', async () => {
    const args = ['test', RELEASE, '--namespace', RELEASE_NAMESPACE, '--logs'];
    const said = await run(join(BIN, 'helm'), args, { timeoutMs: HELM_TEST_MS_MAX });
    expect(said).to.match(/Phase: +Succeeded/);
  });

  it('kubectl apply gives a protected VM within two minutes', async () => {
    const appliedAt = performance.now();
    await database.apply();
    await database.untilProtected(PROTECTED_MS_MAX);
    measured('kubectl apply to Protected', (performance.now() - appliedAt) / 1000, 's');
    const { primary, backup } = await database.sides();
    expect(primary.node).to.not.equal(backup.node);
  });

  it('kubectl get shows it in columns', async () => {
    const { primary, backup, epoch } = await database.sides();
    const lines = (await kubectl(['get', 'ftvm', 'database', '-n', NAMESPACE])).trimEnd().split('\n');
    const rows = lines.map((line) => line.split(/\s{2,}/));
    expect(rows[0]).to.deep.equal(['NAME', 'STATUS', 'PRIMARY', 'BACKUP', 'EPOCH', 'LAG', 'AGE']);
    expect(rows[1]?.slice(0, 5)).to.deep.equal([
      'database',
      'Protected',
      primary.node,
      backup.node,
      `${epoch}`,
    ]);
  });

  it('conditions are as kstatus reads them, and events tell how it came', async () => {
    const vm = (await database.read()) as Ftvm & { metadata: { generation: number } };
    const holds = (type: string) => conditionOf(vm, type)?.status;
    expect(['Ready', 'Protected', 'Reconciling', 'Stalled'].map(holds)).to.deep.equal([
      'True',
      'True',
      'False',
      'False',
    ]);
    for (const { observedGeneration } of vm.status?.conditions ?? [])
      expect(observedGeneration).to.equal(vm.metadata.generation);
    const told = await kubectl(['describe', 'ftvm', 'database', '-n', NAMESPACE]);
    expect(told).to.match(/Normal +Started .* runs the VM on /);
    expect(told).to.match(/Normal +Protected /);
  });

  it('its pods have no token, no root and no capability beside the launcher’s own', async () => {
    for (const { pod } of Object.values(await onlySides(database))) {
      const { spec } = (await get<KubeObject & { spec: PodSpec }>('pod', pod.metadata.name, NAMESPACE)) ?? {};
      expect(spec?.automountServiceAccountToken, 'token').to.equal(false);
      const sidecar = spec?.containers.find(({ name }) => name === 'lockstep');
      expect(sidecar?.securityContext).to.deep.include({
        runAsNonRoot: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      });
    }
  });

  itOnBed('a second VM finds one node only: it runs, and says what it waits for', async () => {
    const { primary } = await database.sides();
    await places.add([primary.node]);
    await web.apply();
    const waiting = await web.until('Need Secondary VM', PROTECTED_MS_MAX, (vm) =>
      (conditionOf(vm, 'Stalled')?.message ?? '').includes('node'),
    );
    expect(waiting.status?.status, words(waiting)).to.equal('Need Secondary VM');
    expect(waiting.status?.primary?.node).to.equal(primary.node);
    expect(conditionOf(waiting, 'Ready')?.status).to.equal('True');
  });

  itOnBed(
    'with other nodes it is protected beside the first, and its Service is answered by the guest',
    async () => {
      await places.add(WORKER_NAMES);
      await web.untilProtected(PROTECTED_MS_MAX);
      expect(await increment(inside, await serviceAddress(), SERVED_MS_MAX)).to.equal(1);
      expect((await database.read())?.status?.status).to.equal('Protected');
    },
  );

  itOnBed(
    'the node of both dies: the connection goes on, the Service is answered, both are protected again',
    async () => {
      client = counting(outside, ADDRESS);
      await serves(client);
      const [before, webBefore] = [await database.sides(), await web.sides()];
      expect(webBefore.primary.node, 'both run on one node').to.equal(before.primary.node);
      killed = before.primary.node;
      const killedAt = performance.now();
      await killNode(killed);
      measured('longest wait of the client on the second network, its node killed', await serves(client));
      const counted = await increment(inside, await serviceAddress(), SERVED_MS_MAX);
      measured('node killed to a new client served by the Service', performance.now() - killedAt);
      expect(counted, 'what the guest had counted').to.equal(2);
      for (const [vm, sides] of [
        [database, before],
        [web, webBefore],
      ] as const) {
        const again = await vm.untilProtected(PROTECTED_AGAIN_MS_MAX, sides.epoch);
        expect(again.status?.primary?.vmi).to.equal(sides.backup.vmi);
        expect(again.status?.backup?.node).to.not.be.oneOf([sides.primary.node, sides.backup.node]);
      }
      measured('node killed to both protected again', (performance.now() - killedAt) / 1000, 's');
      const { acknowledged, found } = await client.finish();
      expect(found).to.equal(acknowledged);
      measured('acknowledged increments, all found', acknowledged, '');
    },
  );

  itOnBed('the node comes back: nothing of the lost sides is left on it', async () => {
    await startNode(killed ?? '');
    killed = undefined;
    await nodesReady();
    for (const vm of [database, web]) {
      await vm.untilOnly(REMOVED_MS_MAX, 2);
      expect((await vm.read())?.status?.status).to.equal('Protected');
    }
  });

  it('kubectl delete leaves nothing, in the cluster and in the lease store', async () => {
    for (const vm of [database, web]) {
      const uid = (await vm.read())?.metadata.uid;
      if (uid === undefined) continue;
      expect(await hasLease(vm.choice.name, uid)).to.equal(true);
      await vm.remove(REMOVED_MS_MAX);
      expect(await hasLease(vm.choice.name, uid)).to.equal(false);
    }
  });

  const serviceAddress = async (): Promise<string> =>
    (await get<Service>('service', 'web', NAMESPACE))?.spec.clusterIP ?? '';
});

interface PodSpec {
  readonly automountServiceAccountToken?: boolean;
  readonly containers: readonly { readonly name: string; readonly securityContext?: object }[];
}

async function onlySides(vm: TestVm) {
  const { primary, backup } = await vm.sides();
  return { primary, backup };
}
