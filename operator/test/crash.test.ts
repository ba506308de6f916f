// SPDX-License-Identifier: Apache-2.0
/** Whatever the operator was doing when it was killed, the one that begins from nothing goes on from there. */
import { expect } from 'chai';
import type { Secret } from '../api/objects.js';
import { SECRETS, VMIS } from '../api/resources.js';
import type { Effect } from '../effects.js';
import { ANNOTATIONS, LABELS, MANAGED_BY, secretNameOf } from '../names.js';
import { ownerOf } from '../resources/owner.js';
import { NAMESPACE } from './cluster.js';
import { eventsOf, gone, protectedAgain, Run, told, word } from './driver.js';
import { Installation } from './installation.js';

/** What happens to a VM, so that some effects come at least once. */
interface Life {
  readonly what: string;
  readonly live: (run: Run) => Promise<void>;
}

async function protectedOnce(run: Run): Promise<void> {
  run.installation.apply();
  await run.until(word('Protected'));
}

const nodeLost: Life = {
  what: 'that loses a node',
  live: async (run) => {
    const { installation } = run;
    await protectedOnce(run);
    const { node = '', vmi = '' } = installation.vm.status?.primary ?? {};
    installation.cluster.kill(node);
    await run.until(protectedAgain(vmi));
  },
};

const unprotectedForAWhile: Life = {
  what: 'that is unprotected for a while',
  live: async (run) => {
    const { installation } = run;
    await protectedOnce(run);
    installation.apply({ suspended: true });
    await run.until(word('Disabled'));
    installation.apply({ suspended: false });
    await run.until(word('Protected'));
  },
};

const startedAnew: Life = {
  what: 'that a person starts anew',
  live: async (run) => {
    const { installation } = run;
    await protectedOnce(run);
    const { primary, backup } = installation.vm.status ?? {};
    for (const place of [primary, backup]) installation.cluster.kill(place?.node ?? '');
    await run.steps(2);
    for (const place of [primary, backup]) installation.cluster.bringBack(place?.node ?? '');
    await run.until(word('VM not Running'));
    installation.annotate({ [ANNOTATIONS.coldStart]: String(installation.vm.status?.epoch) });
    await run.until(word('Protected'));
  },
};

/** A Secret of a side that nobody knows of, as a process leaves it that ends between two steps. */
const withOrphan: Life = {
  what: 'with a Secret left over',
  live: async (run) => {
    const { installation } = run;
    await protectedOnce(run);
    putSideSecret(installation, 'db-dead');
    await run.until({
      what: 'without the Secret of a side that is no more',
      is: ({ api }) =>
        api.find(SECRETS, { name: secretNameOf('db-dead'), namespace: NAMESPACE }) === undefined,
    });
  },
};

const deleted: Life = {
  what: 'that is deleted',
  live: async (run) => {
    await protectedOnce(run);
    run.installation.delete();
    await run.until(gone);
  },
};

function putSideSecret({ api, vm }: Installation, vmi: string): void {
  const labels = { [LABELS.vm]: vm.metadata.name, [LABELS.vmi]: vmi, [LABELS.managedBy]: MANAGED_BY };
  const metadata = { name: secretNameOf(vmi), namespace: NAMESPACE, labels, ownerReferences: [ownerOf(vm)] };
  api.put<Secret>(SECRETS, { metadata, data: {} });
}

/** Every kind of effect: a new one does not compile before it is here. */
const LIVES: Readonly<Record<Effect['type'], readonly Life[]>> = {
  addFinalizer: [nodeLost],
  removeFinalizer: [deleted],
  removeConsent: [startedAnew],
  makeSecret: [nodeLost],
  makeVmi: [nodeLost, startedAnew],
  makeService: [nodeLost],
  deleteVmi: [nodeLost, deleted],
  removePod: [nodeLost],
  removeSecret: [nodeLost, deleted],
  sweepSecret: [withOrphan],
  setRole: [nodeLost],
  setLive: [nodeLost],
  order: [unprotectedForAWhile, deleted],
  removeLease: [deleted],
};

function expectProtected({ installation }: Run): void {
  const { vm, cluster, api } = installation;
  const account = told(installation);
  expect(vm.status?.status, account).to.equal('Protected');
  const sides = vm.status?.sides?.map(({ vmi }) => vmi) ?? [];
  expect(sides, account).to.have.length(2);
  expect(cluster.vmis.map(({ metadata }) => metadata.name)).to.have.members(sides);
  const secrets = api.list(SECRETS, NAMESPACE).map(({ metadata }) => metadata.name);
  expect(secrets, account).to.have.members(sides.map(secretNameOf));
  expect(cluster.owners, account).to.have.length(1);
}

function expectGone({ installation: { api, cluster } }: Run): void {
  expect([VMIS, SECRETS].map((resource) => api.list(resource, NAMESPACE).length)).to.deep.equal([0, 0]);
  expect(cluster.owners).to.deep.equal([]);
  expect(cluster.store.record).to.equal(null);
}

async function lived(life: Life, start: (installation: Installation) => Run): Promise<Run> {
  const installation = await Installation.start();
  const run = start(installation);
  try {
    await life.live(run);
    // What is left to be done: nothing that a standing operator would still do.
    await run.steps(5);
    if (life === deleted) expectGone(run);
    else expectProtected(run);
    expect(run.doubles).to.deep.equal([]);
    expect(installation.crimes).to.deep.equal([]);
    return run;
  } finally {
    await installation.close();
  }
}

describe('an operator that is killed', function () {
  this.timeout(300_000);

  /** Of a life in which nobody is killed. */
  const plain = new Map<Life, readonly string[]>();

  before(async () => {
    for (const life of new Set(Object.values(LIVES).flat()))
      plain.set(life, eventsOf((await lived(life, (installation) => new Run(installation))).installation));
  });

  for (const [type, lives] of Object.entries(LIVES))
    for (const life of lives)
      for (const when of ['before', 'after'] as const)
        it(`right ${when} ${type}, of a VM ${life.what}: the next one ends where it would have`, async () => {
          const run = await lived(life, (installation) =>
            Run.dyingAt(installation, type as Effect['type'], when),
          );
          expect(run.deaths).to.equal(1);
          expect(eventsOf(run.installation), 'each event once').to.deep.equal(plain.get(life));
        });
});

describe('the Secret of a side', () => {
  it('that was decided and is not there yet is never swept, however late a cache is', async () => {
    const installation = await Installation.start();
    try {
      const run = new Run(installation);
      installation.apply();
      await run.steps(1);
      const [operator] = run.operators;
      operator?.caches.ftvms.freeze();
      operator?.caches.vmis.freeze();
      const other = new Run(installation);
      await other.until(word('Protected'));
      await run.steps(5);
      expectProtected(other);
    } finally {
      await installation.close();
    }
  });
});
