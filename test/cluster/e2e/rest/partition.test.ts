// SPDX-License-Identifier: Apache-2.0
// The two nodes do not hear each other, and one of them may not hear the lease store: exactly one side is live. What goes
// over the wire proves it: no packet of the loser after the first one of the winner.
import { expect } from 'chai';
import { setTimeout as sleep } from 'node:timers/promises';
import { block, partition, rangesOf, unblock } from '../../bed/faults.js';
import { RELEASE_NAMESPACE } from '../../bed/product.js';
import { GuardedVm, type Pair } from '../support/guarded.js';
import { get } from '../support/kube.js';
import { measured } from '../support/measured.js';
import type { Pod } from '../support/vm.js';
import { spans, Wire } from '../support/wire.js';
import { describeOnBed } from '../support/world.js';

const ADDRESS = '10.99.0.113';
/** Long beyond the time after which a side counts as dead: a second one that went live would be seen. */
const APART_MS = 15_000;

interface Case {
  readonly title: string;
  /** Who must not hear the store either. */
  readonly deaf: 'primary' | 'backup' | null;
  /** Who must run the VM afterwards; null: either may win. */
  readonly winner: 'primary' | 'backup' | null;
}

const CASES: readonly Case[] = [
  { title: 'the nodes apart', deaf: null, winner: null },
  { title: 'the nodes apart, the primary’s from the store, too', deaf: 'primary', winner: 'backup' },
  { title: 'the nodes apart, the backup’s from the store, too', deaf: 'backup', winner: 'primary' },
];

async function storeAddress(): Promise<string> {
  const pod = await get<Pod>('pod', 'lockstep-redis-0', RELEASE_NAMESPACE);
  if (pod?.status.podIP === undefined) throw new Error('the store has no address');
  return pod.status.podIP;
}

async function setApart({ primary, backup }: Pair, deaf: Case['deaf']): Promise<void> {
  await partition(primary.node, backup.node);
  if (deaf === null) return;
  const [side, other] = deaf === 'primary' ? [primary, backup] : [backup, primary];
  await block(side.node, [...(await rangesOf(other.node)), await storeAddress()]);
}

describeOnBed('a partition', function () {
  const guarded = new GuardedVm('apart', ADDRESS);

  beforeEach(() => guarded.ensure());
  after(() => guarded.finish());

  for (const { title, deaf, winner } of CASES) {
    it(`leaves exactly one live: ${title}`, async () => {
      const before = await guarded.sides();
      const nodes = [before.primary.node, before.backup.node];
      await guarded.serves();
      const wire = new Wire();
      await wire.listen(nodes, ADDRESS);
      try {
        await setApart(before, deaf);
        measured(`longest wait of the client: ${title}`, await guarded.serves());
        await sleep(APART_MS); // nothing must happen in it
        await guarded.serves();
      } finally {
        await wire.close();
        for (const node of nodes) await unblock(node);
      }
      const seen = spans(wire.sent);
      const wentOver = seen.length > 1;
      if (winner !== null) expect(wentOver, 'the backup went live').to.equal(winner === 'backup');
      expect(seen[0]?.node).to.equal(before.primary.node);
      const [old, young] = seen;
      if (old !== undefined && young !== undefined) {
        measured(
          'from the last packet of the old side to the first of the new one',
          (young.firstUs - old.lastUs) / 1000,
        );
        expect(old.lastUs, 'last packet of the old side').to.be.below(young.firstUs);
      }
      await guarded.untilMended(before, wentOver ? 'primary' : 'backup');
      await guarded.serves();
    });
  }
});
