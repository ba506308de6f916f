// SPDX-License-Identifier: Apache-2.0
// On a real cluster: the node that runs the VM dies, and its client does not notice. Nobody touches anything.
import { expect } from 'chai';
import { Client } from '../../../cli/demo/client.js';
import { GUEST_PORTS } from '../../../cli/local/layout.js';
import { until } from '../../qemu/support/wait.js';
import { useEnvironment } from '../bed/command.js';
import { killNode, startNode } from '../bed/faults.js';
import { attachClient, detachClient } from '../bed/network.js';
import { kubectl } from '../bed/kubectl.js';
import { GUEST_IMAGE, WORKER_NAMES } from '../bed/settings.js';
import { get, type KubeObject } from './support/kube.js';
import { TestVm } from './support/vm.js';

/** Where the product is installed (docs/install.md). */
const RELEASE_NAMESPACE = 'lockstep-system';
const CLIENT = 'e2e';
/** On nodes that may die: the lease store must not die with the primary, or the backup waits for it, as it must. */
const MORTAL = 'lockstep-e2e/mortal';
const ADDRESS = '10.99.0.101';
const PROTECTED_MS_MAX = 120_000;
/** The lost pod's node must be found dead, and a new backup be cloned, on two cores that all nodes share. */
const PROTECTED_AGAIN_MS_MAX = 240_000;
const SERVES_MS_MAX = 60_000;
const REMOVED_MS_MAX = 120_000;
const PAUSE_MS = 10;
const REPLIES = 100;

/** The same connection goes on: so many replies more. Returns the longest wait, ms. */
async function serves(client: Client): Promise<number> {
  let seen = 0;
  let worstMs = 0;
  await until('the client goes on', SERVES_MS_MAX, async () => {
    const window = await client.window();
    seen += window.replies;
    worstMs = Math.max(worstMs, window.worstMs);
    return seen >= REPLIES ? true : undefined;
  });
  return worstMs;
}

/** All workers but the one with the lease store. */
async function labelMortal(): Promise<void> {
  const store = await get<KubeObject & { spec: { nodeName: string } }>(
    'pod',
    'lockstep-redis-0',
    RELEASE_NAMESPACE,
  );
  for (const node of WORKER_NAMES) {
    const value = node === store?.spec.nodeName ? `${MORTAL}-` : `${MORTAL}=true`;
    await kubectl(['label', 'node', node, value, '--overwrite']);
  }
}

describe('the loss of a node', function () {
  this.timeout(PROTECTED_MS_MAX + PROTECTED_AGAIN_MS_MAX + SERVES_MS_MAX);
  const vm = new TestVm({
    name: 'outlives',
    namespace: 'default',
    attachment: { kind: 'l2', network: 'default/l2', binding: 'l2tap', address: `${ADDRESS}/24` },
    guestImage: GUEST_IMAGE,
    // Nodes, both QEMUs and the client share two cores here: a shorter silence would be no death.
    deadAfterMs: 2_000,
    nodeSelector: { [MORTAL]: 'true' },
  });
  let client: Client | undefined;
  let namespace = '';
  let killed: string | undefined;

  before(async () => {
    useEnvironment();
    namespace = (await attachClient(CLIENT, '10.99.0.201/24')).namespace;
    await labelMortal();
    await vm.apply();
    await vm.untilProtected(PROTECTED_MS_MAX);
  });

  after(async () => {
    client?.kill();
    if (killed !== undefined) await startNode(killed);
    await vm.remove(REMOVED_MS_MAX);
    await detachClient(CLIENT);
  });

  it('is survived with the connection and every acknowledged increment, and the VM is protected again', async () => {
    client = new Client({ host: ADDRESS, port: GUEST_PORTS.redis, from: { netns: namespace } }, PAUSE_MS);
    await serves(client);
    const { primary, backup, epoch } = await vm.sides();
    killed = primary.node;
    await killNode(primary.node);
    const gapMs = await serves(client);
    await startNode(primary.node);
    killed = undefined;
    await vm.until('the backup runs it', SERVES_MS_MAX, (now) => now.status?.primary?.vmi === backup.vmi);
    const again = await vm.untilProtected(PROTECTED_AGAIN_MS_MAX, epoch);
    expect(again.status?.backup?.vmi).to.not.be.oneOf([primary.vmi, backup.vmi]);
    const { acknowledged, found } = await client.finish();
    expect(found).to.equal(acknowledged);
    process.stdout.write(
      `    longest wait of the client ${Math.round(gapMs)} ms, ${acknowledged} increments, all found\n`,
    );
  });
});
