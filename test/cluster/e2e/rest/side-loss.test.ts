// SPDX-License-Identifier: Apache-2.0
// Everything that can end one side, once for each side. The client's one connection goes on through all of it.
import { killNode, startNode } from '../../bed/faults.js';
import { nodesReady } from '../../bed/kind.js';
import { GuardedVm } from '../support/guarded.js';
import { remove } from '../support/kube.js';
import { measured } from '../support/measured.js';
import { kill, type Part } from '../support/processes.js';
import type { Side } from '../support/vm.js';
import { describeOnBed } from '../support/world.js';

const PARTS: readonly Part[] = ['sidecar', 'QEMU', 'virt-launcher'];
const NAMESPACE = 'default';

interface Loss {
  readonly title: string;
  readonly strike: (side: Side) => Promise<void>;
  /** Undoes what the operator cannot. */
  readonly afterwards?: (side: Side) => Promise<void>;
}

async function nodeBack({ node }: Side): Promise<void> {
  await startNode(node);
  await nodesReady();
}

const deletePod =
  (force: boolean) =>
  ({ pod }: Side): Promise<void> =>
    remove('pod', pod.metadata.name, NAMESPACE, { force });

const LOSSES: readonly Loss[] = [
  ...PARTS.map((part) => ({ title: `its ${part} is killed`, strike: (side: Side) => kill(side, part) })),
  { title: 'its pod is deleted', strike: deletePod(false) },
  { title: 'its pod is deleted with --force', strike: deletePod(true) },
  { title: 'its VMI is deleted', strike: ({ vmi }) => remove('vmi', vmi, NAMESPACE) },
  { title: 'its node is killed', strike: ({ node }) => killNode(node), afterwards: nodeBack },
];

describeOnBed('the loss of a side', function () {
  const guarded = new GuardedVm('sideloss', '10.99.0.111');

  // A row that failed does not take the next ones with it.
  beforeEach(() => guarded.ensure());
  after(() => guarded.finish());

  for (const lost of ['backup', 'primary'] as const) {
    for (const { title, strike, afterwards } of LOSSES) {
      it(`is made good: the ${lost}, ${title}`, async () => {
        const before = await guarded.sides();
        await guarded.serves();
        const struckAt = performance.now();
        await strike(before[lost]);
        try {
          measured(`longest wait of the client, the ${lost}: ${title}`, await guarded.serves());
          await guarded.untilProtectedAgain(before, lost);
          measured('protected again after', (performance.now() - struckAt) / 1000, 's');
          await guarded.untilMended(before, lost);
        } finally {
          await afterwards?.(before[lost]);
        }
        await guarded.serves();
      });
    }
  }
});
