// SPDX-License-Identifier: Apache-2.0
// The VM's life in launcher pods, without Kubernetes: sidecars of pods, QEMU started through the door with libvirt's command
// line. What KubeVirt, libvirt and the operator do is done by stand-ins; all else is the product.
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Client, serverOf } from '../../../cli/demo/client.js';
import { hostOf, pairLayout, REPO, type HostLayout } from '../../../cli/local/layout.js';
import { makeNetwork } from '../../../cli/local/network.js';
import { DEFAULT_MACHINE, newPassword, takeDown } from '../../../cli/local/pair.js';
import { prepareStore, startStore, STORE_USER } from '../../../cli/local/store.js';
import { guestReady } from '../../../cli/local/vm.js';
import { makeCa, makeHostCertificate, OPERATOR_URI, type Pair } from '../../../sidecar/io/channel/pki.js';
import type { ChannelTls } from '../../../sidecar/io/channel/tls.js';
import { PORTS } from '../../../sidecar/kubevirt/config.js';
import type { VmiStatus } from '../../../sidecar/observe/status-schema.js';
import { tellFailure } from '../support/failure.js';
import { guestStarts, orderGuest } from '../support/guest.js';
import { leftoversOf } from '../support/leftovers.js';
import { until } from '../support/wait.js';
import { OperatorStandIn } from './operator.js';
import { Pod } from './pod.js';

const NAME = 'pods';
const VM = 'db1-0a1b2c3d';
const RERUN = 'npx mocha --timeout 600000 build/test/qemu/kubevirt/kubevirt.test.js';
const STEP_MS_MAX = 60_000;
const TICK_MS = 50;
const DEAD_AFTER_MS = 1_000;
const CLIENT_PAUSE_MS = 2;
const INCREMENTS_MIN = 500;

const layout = pairLayout(NAME);
const a = hostOf(layout, 'a');
const b = hostOf(layout, 'b');
const bundle = join(REPO, 'build/bundle');
/** In memory: the pods' rings and sockets. */
const RUN_ROOT = `/dev/shm/lockstep-${NAME}`;

/** Machine's QEMU in a folder, as the sidecar's image brings it. */
function makeBundle(): void {
  if (!existsSync(bundle)) {
    const part = `${bundle}.part`;
    rmSync(part, { recursive: true, force: true });
    mkdirSync(part, { recursive: true });
    execFileSync('bash', [join(REPO, 'images/bundle.sh'), part], { stdio: 'inherit' });
    renameSync(part, bundle);
  }
  copyFileSync(join(REPO, 'build/native/lockstep-shim.so'), join(bundle, 'lockstep-shim.so'));
}

class Cluster {
  readonly pods: Pod[] = [];
  private constructor(
    private readonly ca: Pair,
    private readonly password: string,
    readonly operator: OperatorStandIn,
  ) {}

  static async up(): Promise<Cluster> {
    await takeDown(layout);
    rmSync(RUN_ROOT, { recursive: true, force: true });
    makeBundle();
    const password = newPassword();
    mkdirSync(layout.dir, { recursive: true });
    for (const host of layout.hosts) mkdirSync(host.dir, { recursive: true });
    await makeNetwork(layout);
    await prepareStore(layout, password);
    await startStore(layout);
    const ca = await makeCa('lockstep test');
    const keys = await keysOf(ca, 'operator', [], [OPERATOR_URI]);
    return new Cluster(ca, password, new OperatorStandIn(layout.client.netns, keys));
  }

  /** A pod as the operator makes it, on a host. */
  async pod(name: string, host: HostLayout, start: unknown): Promise<Pod> {
    const { ip, port } = layout.store;
    const pod = new Pod({
      host,
      name,
      dir: join(host.dir, name),
      runDir: join(RUN_ROOT, name),
      vm: VM,
      settings: {
        vm: VM,
        vmi: name,
        namespace: 'default',
        start,
        cpuModel: DEFAULT_MACHINE.cpu,
        mac: null,
        store: { host: ip, port, username: STORE_USER, password: this.password },
        log: { format: 'readable' },
        // Four processors' worth of work on two, beside other tests.
        limits: { deadAfterMs: DEAD_AFTER_MS },
      },
      keys: await keysOf(this.ca, name, [VM], []),
      bundle,
      machine: {
        memoryMiB: DEFAULT_MACHINE.memoryMiB,
        kernel: DEFAULT_MACHINE.kernel,
        initrd: DEFAULT_MACHINE.initrd,
        append: `console=ttyS0 quiet lockstep.ip=${layout.guest.ip}/${layout.prefixBits} lockstep.tick_ms=${TICK_MS}`,
        mac: layout.guest.mac,
        uuid: randomUUID(),
      },
    });
    this.pods.push(pod);
    this.operator.watch(pod.target);
    return pod;
  }

  primary(name: string, host: HostLayout): Promise<Pod> {
    return this.pod(name, host, { role: 'primary', coldStart: { kind: 'found' } });
  }

  backup(name: string, host: HostLayout, of: Pod): Promise<Pod> {
    const peer = { host: of.plan.host.ip, port: PORTS.channel, api: PORTS.api };
    return this.pod(name, host, { role: 'backup', peer });
  }

  until(what: string, pod: Pod, holds: (status: VmiStatus) => boolean): Promise<VmiStatus> {
    return this.operator.until(what, pod.target, STEP_MS_MAX, holds);
  }

  async down(): Promise<void> {
    await this.operator.end();
    for (const pod of this.pods) await pod.kill();
    rmSync(RUN_ROOT, { recursive: true, force: true });
    await takeDown(layout);
  }
}

async function keysOf(
  ca: Pair,
  commonName: string,
  vms: readonly string[],
  uris: readonly string[],
): Promise<ChannelTls> {
  const made = await makeHostCertificate(ca, { commonName, vms, uris, dnsNames: [] });
  return { ca: ca.certificatePem, cert: made.certificatePem, key: made.privateKeyPem };
}

const isProtected = ({ protection }: VmiStatus): boolean => protection.word === 'Protected';
const isAlone = ({ role, phase }: VmiStatus): boolean => role === 'primary' && phase === 'alone';

describe('a VM in launcher pods', function () {
  let cluster: Cluster;

  before(async () => {
    cluster = await Cluster.up();
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await tellFailure(layout, 'pods', RERUN);
  });
  after(async () => {
    await cluster.down();
    expect(await leftoversOf(layout), 'left on this machine').to.deep.equal([]);
  });

  it('is started anew by libvirt when QEMU ends before it ran', async () => {
    const pod = await cluster.primary('vm-1', a);
    const error = await pod.libvirt.start({ kernel: '/none' }).catch((thrown: unknown) => thrown);
    expect((error as Error).message).to.include('/none');
    await cluster.until('tells of it', pod, ({ stage, trouble }) => {
      return stage === 'waiting' && trouble?.reason === 'qemuFailed';
    });
    await pod.libvirt.start();
    const { trouble } = await cluster.until('runs', pod, isAlone);
    expect(trouble).to.equal(null);
    await until('the guest', STEP_MS_MAX, async () =>
      (await guestReady(pod.libvirt.serialLog)) ? true : undefined,
    );
  });

  it('outlives the loss of a node and of a QEMU; its machine is handed on from side to side', async () => {
    const [first] = cluster.pods;
    if (first === undefined) throw new Error('nothing runs');
    const client = new Client(serverOf(layout), CLIENT_PAUSE_MS);
    const second = await cluster.backup('vm-2', b, first);
    await second.libvirt.start();
    await cluster.until('is protected', first, isProtected);
    await first.kill();
    await cluster.until('takes over', second, isAlone);

    // It gets a machine from one that has it from another.
    const third = await cluster.backup('vm-3', a, second);
    await third.libvirt.start();
    await cluster.until('is protected', second, isProtected);
    second.libvirt.kill();
    await second.ended();
    expect(second.exitCode).to.equal(1);
    expect(second.epitaph.reason).to.equal('engineFailed');
    await cluster.until('takes over', third, isAlone);

    const { acknowledged, found } = await client.finish();
    expect(found).to.equal(acknowledged);
    expect(acknowledged).to.be.greaterThan(INCREMENTS_MIN);
  });

  it('is reset by its guest on both sides, and libvirt and the pair go on', async () => {
    const third = cluster.pods.at(-1);
    if (third === undefined) throw new Error('nothing runs');
    const fourth = await cluster.backup('vm-4', b, third);
    await fourth.libvirt.start();
    const { epoch } = await cluster.until('is protected', third, isProtected);
    const console = { serialFile: third.libvirt.serialLog };
    const before = await guestStarts(console);
    await orderGuest(layout, 'reset');
    await until('the guest again', STEP_MS_MAX, async () =>
      (await guestStarts(console)) > before ? true : undefined,
    );
    const after = await cluster.until('is protected', third, isProtected);
    expect(after.epoch).to.equal(epoch);
  });

  it('stays with its guest at SIGTERM, and off when the guest switches itself off: both sides end, in order', async () => {
    const [third, fourth] = cluster.pods.slice(-2);
    if (third === undefined || fourth === undefined) throw new Error('no pair runs');
    third.terminate();
    fourth.terminate();
    await orderGuest(layout, 'poweroff');
    for (const pod of [third, fourth]) {
      await pod.ended();
      expect(pod.epitaph.reason, pod.plan.name).to.equal('vmNotRunning');
      expect(pod.exitCode, pod.plan.name).to.equal(0);
    }
  });
});
