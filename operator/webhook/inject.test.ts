// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { InjectError, patchFor, type LauncherPod, type PatchStep } from './inject.js';

const SETTINGS = {
  sidecarImage: 'lockstep/sidecar:1',
  pullPolicy: 'IfNotPresent',
  emulatorPaths: ['/usr/libexec/qemu-kvm', '/usr/bin/qemu-system-x86_64'],
};

/** As KubeVirt 1.7 makes launcher pods, by what matters here. */
const POD: LauncherPod = {
  metadata: {
    name: 'virt-launcher-web-12ab-x',
    labels: { 'kubevirt.io': 'virt-launcher', 'lockstep.dev/vm': 'web', 'lockstep.dev/vmi': 'web-12ab' },
    annotations: { 'kubevirt.io/domain': 'web-12ab' },
  },
  spec: {
    initContainers: [{ name: 'container-disk-binary' }],
    containers: [
      { name: 'compute', volumeMounts: [{ name: 'private', mountPath: '/var/run/kubevirt-private' }] },
      { name: 'volumekernel-boot-volume' },
    ],
    volumes: [{ name: 'private' }],
    readinessGates: [{ conditionType: 'kubevirt.io/virtual-machine-unpaused' }],
  },
};

/** RFC 6902, as far as it is used. */
function apply(pod: LauncherPod, steps: readonly PatchStep[]): LauncherPod {
  const made = structuredClone(pod) as unknown as Record<string, unknown>;
  for (const { path, value } of steps) {
    const keys = path
      .slice(1)
      .split('/')
      .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = keys.pop() ?? '';
    const parent = keys.reduce<unknown>((here, key) => (here as Record<string, unknown>)[key], made);
    if (last === '-') (parent as unknown[]).push(value);
    else (parent as Record<string, unknown>)[last] = value;
  }
  return made as unknown as LauncherPod;
}

interface Made {
  readonly name: string;
  readonly image?: string;
  readonly securityContext?: Record<string, unknown>;
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly subPath?: string;
  }[];
  readonly readinessProbe?: unknown;
  readonly livenessProbe?: unknown;
}

const find = (list: readonly { readonly name: string }[] | undefined, name: string): Made => {
  const found = list?.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
};

describe('what is added to a launcher pod', () => {
  const made = apply(POD, patchFor(POD, SETTINGS));

  it('puts the door wherever libvirt may look for QEMU', () => {
    const mounts = find(made.spec.containers, 'compute').volumeMounts ?? [];
    const doors = mounts.filter(({ subPath }) => subPath === 'door').map(({ mountPath }) => mountPath);
    expect(doors).to.deep.equal(SETTINGS.emulatorPaths);
    expect(mounts.map(({ mountPath }) => mountPath)).to.include.members(['/run/lockstep', '/opt/lockstep']);
  });

  it("hides the modules of the launcher's own QEMU from the bundle's, which they would end", () => {
    const mounts = find(made.spec.containers, 'compute').volumeMounts ?? [];
    const modules = mounts.find(({ mountPath }) => mountPath === '/usr/lib/x86_64-linux-gnu/qemu');
    expect(modules?.subPath).to.equal('modules');
  });

  it('keeps compute first, as KubeVirt wants it, and all that was there', () => {
    expect(made.spec.containers.map(({ name }) => name)).to.deep.equal([
      'compute',
      'volumekernel-boot-volume',
      'lockstep',
    ]);
    expect(made.spec.readinessGates).to.have.length(2);
    expect(find(made.spec.containers, 'compute').volumeMounts?.[0]?.name).to.equal('private');
  });

  it('runs nothing as root, with a capability or with a way to more', () => {
    const ours = [find(made.spec.containers, 'lockstep'), find(made.spec.initContainers, 'lockstep-bundle')];
    for (const { securityContext } of ours) {
      expect(securityContext).to.deep.include({
        runAsUser: 107,
        runAsNonRoot: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        readOnlyRootFilesystem: true,
      });
    }
  });

  it('puts no probe on the sidecar: KubeVirt would wait for it before it starts QEMU', () => {
    const sidecar = find(made.spec.containers, 'lockstep');
    expect(sidecar.readinessProbe).to.equal(undefined);
    expect(sidecar.livenessProbe).to.equal(undefined);
  });

  it('gives the sidecar the keys of this incarnation, and nobody else', () => {
    const volume = find(made.spec.volumes, 'lockstep-identity') as unknown as {
      secret: { secretName: string };
    };
    expect(volume.secret.secretName).to.equal('web-12ab-lockstep');
    const holders = made.spec.containers.filter((one) =>
      (one as Made).volumeMounts?.some(({ name }) => name === 'lockstep-identity'),
    );
    expect(holders.map(({ name }) => name)).to.deep.equal(['lockstep']);
  });

  it('asks for no token of the API server, and needs no more than baseline pod security', () => {
    const text = JSON.stringify(made);
    for (const word of ['serviceAccountToken', 'hostPath', 'hostPort', 'privileged', 'NET_ADMIN', 'SYS_'])
      expect(text).to.not.include(word);
  });

  it('gives it the scheduler that it is for: until then it finds no node', () => {
    const annotations = { ...POD.metadata.annotations, 'lockstep.dev/scheduler': 'own' };
    const guarded = { ...POD, metadata: { ...POD.metadata, annotations } };
    const pod = apply(guarded, patchFor(guarded, SETTINGS)) as { spec: { schedulerName?: string } };
    expect(pod.spec.schedulerName).to.equal('own');
  });

  it('changes nothing the second time', () => {
    expect(patchFor(made, SETTINGS)).to.deep.equal([]);
  });

  it('lets nobody by who says that the pod only provisions a volume: our VMs have none', () => {
    const annotations = { 'kubevirt.io/ephemeral-provisioning': '' };
    const provisioning = { ...POD, metadata: { ...POD.metadata, annotations } };
    expect(() => patchFor(provisioning, SETTINGS)).to.throw(InjectError, 'nothing starts unprotected');
  });

  describe('asks Multus for the network of the channel', () => {
    const asked = (networks: Readonly<Record<string, string>>): string | undefined => {
      const annotations = {
        ...POD.metadata.annotations,
        'lockstep.dev/logging-network': 'ft/log',
        ...networks,
      };
      const pod = { ...POD, metadata: { ...POD.metadata, annotations } };
      const injected = apply(pod, patchFor(pod, SETTINGS));
      expect(patchFor(injected, SETTINGS)).to.deep.equal([]);
      return injected.metadata.annotations?.['k8s.v1.cni.cncf.io/networks'];
    };

    it('of a pod that asks for none yet', () => {
      expect(asked({})).to.equal('ft/log@lockstep0');
    });

    it("beside the guest's own, in KubeVirt's words", () => {
      const own = { name: 'l2', namespace: 'shop', interface: 'pod37a8eec1ce1' };
      const networks = asked({ 'k8s.v1.cni.cncf.io/networks': JSON.stringify([own]) });
      expect(JSON.parse(networks ?? '')).to.deep.equal([
        own,
        { name: 'log', namespace: 'ft', interface: 'lockstep0' },
      ]);
    });

    it('of nobody whose VM names none', () => {
      expect(made.metadata.annotations).to.deep.equal(POD.metadata.annotations);
    });
  });

  it('makes the lists that are not there', () => {
    const bare: LauncherPod = { metadata: POD.metadata, spec: { containers: [{ name: 'compute' }] } };
    const filled = apply(bare, patchFor(bare, SETTINGS));
    expect(filled.spec.volumes).to.have.length(3);
    expect(find(filled.spec.containers, 'compute').volumeMounts).to.have.length(5);
  });

  it('lets no pod through that it does not understand', () => {
    const strange: LauncherPod = { ...POD, spec: { containers: [{ name: 'other' }] } };
    expect(() => patchFor(strange, SETTINGS)).to.throw(InjectError, "no container 'compute'");
    const unnamed: LauncherPod = { ...POD, metadata: { name: 'x', labels: {} } };
    expect(() => patchFor(unnamed, SETTINGS)).to.throw(InjectError, 'lockstep.dev/vmi');
  });
});
