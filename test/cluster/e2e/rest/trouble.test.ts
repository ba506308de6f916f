// SPDX-License-Identifier: Apache-2.0
// What a VM needs is not there: no guest starts without protection code, and a condition says what is missing.
import { expect } from 'chai';
import { writeFile } from 'node:fs/promises';
import { kubectl } from '../../bed/kubectl.js';
import { RELEASE_NAMESPACE } from '../../bed/product.js';
import { WORKER_NAMES } from '../../bed/settings.js';
import { applyObject, get, type KubeObject } from '../support/kube.js';
import { operatorsReady } from '../support/operators.js';
import { OPERATOR, scale, STORE } from '../support/scale.js';
import { DEAD_AFTER_MS, ownNetwork, TestVm, words, manifest, type Ftvm } from '../support/vm.js';
import { describeOnBed, theWorld } from '../support/world.js';
import { nodeProcesses } from '../../bed/faults.js';

const NAMESPACE = 'default';
const TOLD_MS_MAX = 180_000;
const PROTECTED_MS_MAX = 180_000;
const REMOVED_MS_MAX = 120_000;
const USERFAULTFD = '/proc/sys/vm/unprivileged_userfaultfd';

interface Deployment extends KubeObject {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly { readonly env: readonly { name: string; value?: string }[] }[];
      };
    };
  };
}

const vmNamed = (name: string): TestVm =>
  new TestVm({
    name,
    namespace: NAMESPACE,
    deadAfterMs: DEAD_AFTER_MS,
    guestImage: theWorld().guestImage,
    attachment: ownNetwork('10.99.0.114'),
  });

/** Anything of a condition, in whichever. */
const says = (vm: Ftvm, what: RegExp): boolean =>
  (vm.status?.conditions ?? []).some(({ message }) => what.test(message));

describeOnBed('when something is missing', () => {
  let vm: TestVm | undefined;

  afterEach(async () => {
    await vm?.remove(REMOVED_MS_MAX);
    vm = undefined;
  });

  it('the lease store: nothing starts, the condition names it; back, the VM is protected', async () => {
    vm = vmNamed('nostore');
    await scale(STORE, 0);
    try {
      await vm.apply();
      const told = await vm.until('the store is named', TOLD_MS_MAX, (now) => says(now, /lease store|store/));
      expect(told.status?.status, words(told)).to.not.equal('Protected');
      expect(await guests(vm)).to.deep.equal([]);
    } finally {
      await scale(STORE, 1);
    }
    await vm.untilProtected(PROTECTED_MS_MAX);
  });

  it('userfaultfd: nothing starts, the condition says which setting; with it, the VM is protected', async () => {
    vm = vmNamed('nouffd');
    await writeFile(USERFAULTFD, '0');
    try {
      await vm.apply();
      const told = await vm.until('the setting is named', TOLD_MS_MAX, (now) =>
        says(now, /vm\.unprivileged_userfaultfd/),
      );
      expect(told.status?.conditions?.find(({ type }) => type === 'Stalled')?.status).to.equal('True');
      expect(await guests(vm)).to.deep.equal([]);
    } finally {
      await writeFile(USERFAULTFD, '1');
    }
    await vm.untilProtected(PROTECTED_MS_MAX);
  });

  it('the webhook: neither a FaultTolerantVM nor a launcher pod is let in; back, the VM starts', async () => {
    vm = vmNamed('nohook');
    await scale(OPERATOR, 0);
    try {
      const refusal = await applyObject(manifest(vm.choice)).then(() => '', String);
      expect(refusal).to.match(/webhook/);
    } finally {
      await scale(OPERATOR, 2);
    }
    await vm.apply();
    await vm.untilProtected(PROTECTED_MS_MAX);
  });

  it('the bundle: no guest is started with another QEMU, and the condition tells of the container', async () => {
    vm = vmNamed('nobundle');
    const good = await sidecarImage();
    // An image of ours without a bundle in it.
    await useSidecarImage(
      good.replace('/sidecar:', '/operator:').replace(/:[^:]*$/, `:${await operatorTag()}`),
    );
    try {
      await vm.apply();
      await vm.until('the container is named', TOLD_MS_MAX, (now) => says(now, /container lockstep/));
      expect(await guests(vm)).to.deep.equal([]);
    } finally {
      await useSidecarImage(good);
    }
    await vm.remove(REMOVED_MS_MAX);
    vm = vmNamed('bundle');
    await vm.apply();
    await vm.untilProtected(PROTECTED_MS_MAX);
  });
});

/** Command lines of QEMUs in a VM's pods: guests that run, whatever they were started by. */
async function guests(vm: TestVm): Promise<string[]> {
  const uids = (await vm.pods()).map(({ metadata }) => metadata.uid);
  const all = (await Promise.all(WORKER_NAMES.map(nodeProcesses))).flat();
  return all
    .filter(({ podUid, argv }) => uids.includes(podUid ?? '') && isGuest(argv))
    .map(({ argv }) => argv.join(' '));
}

/** libvirt's probes of what a QEMU can do run no guest. */
const isGuest = (argv: readonly string[]): boolean =>
  argv.some((word) => /qemu-(kvm|system)/.test(word)) &&
  argv.some((word) => word.startsWith('guest=')) &&
  !argv.some((word) => word.endsWith('/door'));

async function operatorEnv(): Promise<readonly { name: string; value?: string }[]> {
  const deployment = await get<Deployment>('deployment', 'lockstep-operator', RELEASE_NAMESPACE);
  return deployment?.spec.template.spec.containers[0]?.env ?? [];
}

async function sidecarImage(): Promise<string> {
  const image = (await operatorEnv()).find(({ name }) => name === 'SIDECAR_IMAGE')?.value;
  if (image === undefined) throw new Error('the operator has no SIDECAR_IMAGE');
  return image;
}

async function operatorTag(): Promise<string> {
  const path = 'jsonpath={.spec.template.spec.containers[0].image}';
  const image = await kubectl(['get', 'deployment/lockstep-operator', '-n', RELEASE_NAMESPACE, '-o', path]);
  return image.slice(image.lastIndexOf(':') + 1);
}

async function useSidecarImage(image: string): Promise<void> {
  await kubectl([
    'set',
    'env',
    'deployment/lockstep-operator',
    '-n',
    RELEASE_NAMESPACE,
    `SIDECAR_IMAGE=${image}`,
  ]);
  await operatorsReady();
}
