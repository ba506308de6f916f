// SPDX-License-Identifier: Apache-2.0
// What decides and manages is away, frozen or killed: API server, operator, lease store, virt-handler.
import { expect } from 'chai';
import { until } from '../../../qemu/support/wait.js';
import { nodeProcesses, signalProcess } from '../../bed/faults.js';
import { RELEASE_NAMESPACE } from '../../bed/product.js';
import { CONTROL_PLANE } from '../../bed/settings.js';
import { GuardedVm, type Pair } from '../support/guarded.js';
import { get, list, remove, rolledOut, type KubeObject } from '../support/kube.js';
import { measured } from '../support/measured.js';
import { killOperators, leader, operatorPods, operatorsReady, signalOperator } from '../support/operators.js';
import { kill } from '../support/processes.js';
import { ready, scale, STORE } from '../support/scale.js';
import { conditionOf, type Pod } from '../support/vm.js';
import { describeOnBed } from '../support/world.js';

const NAMESPACE = 'default';
const SEEN_MS_MAX = 120_000;
const LEADS_MS_MAX = 90_000;
const STORE_POD = 'lockstep-redis-0';

describeOnBed('without', function () {
  const guarded = new GuardedVm('control', '10.99.0.112');

  beforeEach(() => guarded.ensure());
  after(() => guarded.finish());

  it('the API server a failover happens all the same, and is made good when it is back', async () => {
    const before = await guarded.sides();
    await guarded.serves();
    const apiServer = await theProcess(CONTROL_PLANE, 'kube-apiserver');
    await signalProcess(CONTROL_PLANE, apiServer, 'STOP');
    try {
      await kill(before.primary, 'QEMU');
      measured('longest wait of the client, API server frozen, QEMU killed', await guarded.serves());
    } finally {
      await signalProcess(CONTROL_PLANE, apiServer, 'CONT');
    }
    await guarded.untilMended(before, 'primary');
    await guarded.serves();
  });

  it('the lease store the VM runs on; back, it decides the next failover', async () => {
    const before = await guarded.sides();
    await scale(STORE, 0);
    try {
      await guarded.vm.until('the store’s absence is told', SEEN_MS_MAX, (vm) =>
        (vm.status?.conditions ?? []).some(({ message }) => message.includes('lease store')),
      );
      await guarded.serves();
      await guarded.expectUnchanged(before);
    } finally {
      await scale(STORE, 1);
    }
    await remove('pod', STORE_POD, RELEASE_NAMESPACE, { force: true });
    await ready(STORE);
    await guarded.vm.until('the store is back', SEEN_MS_MAX, (vm) =>
      (vm.status?.conditions ?? []).every(({ message }) => !message.includes('lease store')),
    );
    await guarded.expectUnchanged(before);
    await kill(before.primary, 'QEMU');
    await guarded.serves();
    await guarded.untilMended(before, 'primary');
  });

  it('the store at the moment of a failover the backup waits for it, and wins when it is back', async () => {
    const before = await guarded.sides();
    await scale(STORE, 0);
    try {
      await kill(before.primary, 'QEMU');
    } finally {
      await scale(STORE, 1);
    }
    await guarded.serves();
    await guarded.untilMended(before, 'primary');
  });

  it('virt-handler on both nodes, restarted, nothing changes', async () => {
    const before = await guarded.sides();
    const handlers = await list<Pod>('pods', 'kubevirt', 'kubevirt.io=virt-handler');
    const nodes = [before.primary.node, before.backup.node];
    for (const { metadata, spec } of handlers)
      if (nodes.includes(spec.nodeName ?? '')) await remove('pod', metadata.name, 'kubevirt');
    await rolledOut('daemonset/virt-handler', 'kubevirt');
    await guarded.serves();
    await guarded.expectUnchanged(before);
  });

  it('the operator’s leader, frozen, the other leads; awake again, the first does nothing twice', async () => {
    const before = await guarded.sides();
    const first = await theLeader();
    await signalOperator(first, 'STOP');
    try {
      await kill(before.primary, 'QEMU');
      await guarded.serves();
      await until('another operator leads', LEADS_MS_MAX, async () => {
        const now = await leader();
        return now !== null && now !== first.metadata.name ? true : undefined;
      });
      await guarded.untilMended(before, 'primary');
    } finally {
      await signalOperator(first, 'CONT');
    }
    await operatorsReady();
    const mended = await guarded.sides();
    await guarded.serves();
    await guarded.vm.untilOnly(SEEN_MS_MAX, 2);
    await guarded.expectUnchanged(mended);
  });

  /** What can be seen of each of the operator's steps, from the loss of a side to a new one that is in the pair. */
  const STEPS: readonly { readonly title: string; readonly seen: (before: Pair) => Promise<boolean> }[] = [
    { title: 'the new side’s Secret is there', seen: async (before) => (await fresh('secrets', before)) > 0 },
    { title: 'the new side’s VMI is there', seen: async (before) => (await fresh('vmi', before)) > 0 },
    {
      title: 'its pod has a node',
      seen: async (before) => (await freshPods(before)).some(({ spec }) => spec.nodeName !== undefined),
    },
    {
      title: 'its pod runs',
      seen: async (before) => (await freshPods(before)).some(({ status }) => status.phase === 'Running'),
    },
    {
      title: 'its pod bears its role',
      seen: async (before) =>
        (await freshPods(before)).some(({ metadata }) => metadata.labels?.['lockstep.dev/role'] === 'backup'),
    },
    {
      title: 'the lost side’s VMI is gone',
      seen: async ({ primary }) => (await get('vmi', primary.vmi, NAMESPACE)) === undefined,
    },
    {
      title: 'the lost side’s Secret is gone',
      seen: async ({ primary }) => (await get('secret', `${primary.vmi}-lockstep`, NAMESPACE)) === undefined,
    },
  ];
  for (const { title, seen } of STEPS) {
    it(`an operator, killed when ${title}, the pair is whole again`, async () => {
      const before = await guarded.sides();
      await kill(before.primary, 'QEMU');
      await until(title, SEEN_MS_MAX, async () => ((await seen(before)) ? true : undefined));
      await killOperators();
      await guarded.serves();
      await guarded.untilMended(before, 'primary');
      await operatorsReady();
    });
  }

  it('anything: at last the VM is protected, and its condition says so', async () => {
    const vm = await guarded.vm.read();
    expect(vm && conditionOf(vm, 'Protected')?.status).to.equal('True');
  });

  /** Objects of the VM that belong to none of the sides before. */
  async function freshOf<T extends KubeObject>(resource: string, before: Pair): Promise<T[]> {
    const old = [before.primary.vmi, before.backup.vmi];
    const all = await list<T>(resource, NAMESPACE, guarded.vm.selector);
    return all.filter(
      ({ metadata }) =>
        !old.some((vmi) => metadata.name.includes(vmi) || metadata.labels?.['lockstep.dev/vmi'] === vmi),
    );
  }
  const fresh = async (resource: string, before: Pair): Promise<number> =>
    (await freshOf(resource, before)).length;
  const freshPods = (before: Pair): Promise<Pod[]> => freshOf<Pod>('pods', before);
});

async function theProcess(node: string, program: string): Promise<number> {
  const found = (await nodeProcesses(node)).find(({ argv }) => argv[0]?.endsWith(program));
  if (found === undefined) throw new Error(`${node}: no ${program}`);
  return found.pid;
}

async function theLeader(): Promise<Pod> {
  const name = await until('an operator leads', LEADS_MS_MAX, async () => (await leader()) ?? undefined);
  const pod = (await operatorPods()).find(({ metadata }) => metadata.name === name);
  if (pod === undefined) throw new Error(`no pod ${name}`);
  return pod;
}
