// SPDX-License-Identifier: Apache-2.0
// What a user may choose in the resource, where it takes more than a look at an object to see that it works.
import { expect } from 'chai';
import { onNode } from '../../bed/command.js';
import { partition, unblock } from '../../bed/faults.js';
import { PORTS } from '../../../../sidecar/kubevirt/config.js';
import { GuardedVm } from '../support/guarded.js';
import { measured } from '../support/measured.js';
import { kill, processOf } from '../support/processes.js';
import type { Side } from '../support/vm.js';
import { describeOnBed } from '../support/world.js';

/** As bed/manifests/l2.yaml defines it, and the addresses that its nodes hand out. */
const LOGGING_NETWORK = 'default/logging';
const LOGGING_ADDRESS = /^10\.98\./;
const PROTECTED_AGAIN_MS_MAX = 240_000;

/** Both ends' addresses of the logging channels that a side has, one `local peer` each. */
async function channelsOf(side: Side): Promise<string[]> {
  const { pid } = await processOf(side, 'sidecar');
  const filter = `( sport = :${PORTS.channel} or dport = :${PORTS.channel} )`;
  const said = await onNode(side.node, [
    ...['nsenter', '-t', String(pid), '-n'],
    ...['ss', '--tcp', '--numeric', '--no-header', 'state', 'established', filter],
  ]);
  return said
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).slice(-2).join(' '));
}

describeOnBed('placement.loggingNetwork', function () {
  const guarded = new GuardedVm('ownlog', '10.99.0.115', { loggingNetwork: LOGGING_NETWORK });

  before(() => guarded.start());
  after(() => guarded.finish());

  async function expectOnIt(): Promise<void> {
    const { primary, backup } = await guarded.sides();
    for (const side of [primary, backup]) {
      const ends = (await channelsOf(side)).flatMap((line) => line.split(' '));
      expect(ends, side.vmi).to.have.length(2);
      for (const end of ends) expect(end, side.vmi).to.match(LOGGING_ADDRESS);
    }
  }

  it('is where the two sides talk, also those of after a failover', async () => {
    const before = await guarded.sides();
    await expectOnIt();
    await kill(before.primary, 'QEMU');
    await guarded.serves();
    await guarded.untilMended(before, 'primary');
    await expectOnIt();
  });
});

describeOnBed('failureDetection that nobody chose', function () {
  const guarded = new GuardedVm('default', '10.99.0.116', { deadAfterMs: undefined });

  before(() => guarded.start());
  after(() => guarded.finish());

  it('has a partition decided, and the VM protected again', async () => {
    await guarded.serves();
    const before = await guarded.sides();
    const nodes = [before.primary.node, before.backup.node];
    try {
      await partition(before.primary.node, before.backup.node);
      measured('longest wait of the client, the nodes apart', await guarded.serves());
    } finally {
      for (const node of nodes) await unblock(node);
    }
    await guarded.vm.untilProtected(PROTECTED_AGAIN_MS_MAX, before.epoch);
    await guarded.serves();
  });
});
