// SPDX-License-Identifier: Apache-2.0
/** The traps of KubeVirt and Kubernetes that lose a guest, as far as the VMI's specification keeps them shut. */
import { expect } from 'chai';
import type { VmiSpec } from '../api/ftvm.js';
import { BACKUP, BRIDGE, MASQUERADE, PRIMARY, sampleFtvm, UID } from '../test/samples.js';
import { buildVmi, guestMacOf } from './vmi.js';

const specOf = (template: VmiSpec = MASQUERADE, side = PRIMARY): VmiSpec =>
  buildVmi(sampleFtvm({ template }), side).spec as VmiSpec;

describe('the VMI of a side', () => {
  it('is ended without the power button: grace 0, whatever the template says', () => {
    expect(
      specOf({ ...MASQUERADE, terminationGracePeriodSeconds: 180 }).terminationGracePeriodSeconds,
    ).to.equal(0);
  });

  it('is never migrated or evicted by itself: evictionStrategy External, whatever the cluster’s default is', () => {
    expect(specOf().evictionStrategy).to.equal('External');
  });

  it('has no room for more memory or processors, which KubeVirt would keep for hot-plug', () => {
    expect(specOf().domain.memory).to.deep.equal({ guest: '256Mi', maxGuest: '256Mi' });
    const { domain } = MASQUERADE;
    const requests = { memory: '2Gi' };
    const asked = specOf({ ...MASQUERADE, domain: { ...domain, memory: {}, resources: { requests } } });
    expect(asked.domain.memory).to.deep.equal({ guest: '2Gi', maxGuest: '2Gi' });
  });

  it('finds no node unless the webhook has seen its pod: its scheduler is nobody, the right one is kept aside', () => {
    const schedulers = (template: VmiSpec) => {
      const { spec, metadata } = buildVmi(sampleFtvm({ template }), PRIMARY);
      return [(spec as VmiSpec).schedulerName, metadata.annotations?.['lockstep.dev/scheduler']];
    };
    expect(schedulers(MASQUERADE)).to.deep.equal(['lockstep-dev-without-webhook', 'default-scheduler']);
    expect(schedulers({ ...MASQUERADE, schedulerName: 'own' })).to.deep.equal([
      'lockstep-dev-without-webhook',
      'own',
    ]);
  });

  it('outlives the taints of a node that is not heard, without a time limit', () => {
    const timed = { key: 'node.kubernetes.io/unreachable', operator: 'Exists', tolerationSeconds: 5 };
    const own = { key: 'own', operator: 'Exists' };
    const { tolerations = [] } = specOf({
      ...MASQUERADE,
      tolerations: [timed, own] as unknown as NonNullable<VmiSpec['tolerations']>,
    });
    for (const key of ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']) {
      expect(tolerations.filter((one) => one.key === key)).to.deep.equal([
        { key, operator: 'Exists', effect: 'NoExecute' },
      ]);
    }
    expect(tolerations).to.deep.include(own);
  });

  it('outlives them also when the template tolerates everything for a while: the first match counts', () => {
    const everything = { operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 60 };
    const { tolerations = [] } = specOf({
      ...MASQUERADE,
      tolerations: [everything] as unknown as NonNullable<VmiSpec['tolerations']>,
    });
    const matching = tolerations.find(
      ({ key }) => key === undefined || key === 'node.kubernetes.io/unreachable',
    );
    expect(matching).to.not.have.property('tolerationSeconds');
  });

  it('is on another node than the other side, beside what the template asks for', () => {
    const mine = { topologyKey: 'zone', labelSelector: {} };
    const { affinity } = specOf({
      ...MASQUERADE,
      affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [mine] } },
    });
    expect(affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution).to.deep.equal([
      mine,
      {
        topologyKey: 'kubernetes.io/hostname',
        labelSelector: { matchLabels: { 'lockstep.dev/vm': 'db' } },
      },
    ]);
  });

  it('is rather on another node than the lease store of the installation, but must not be', () => {
    const { podAntiAffinity } = specOf().affinity ?? {};
    expect(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution).to.deep.equal([
      {
        weight: 100,
        podAffinityTerm: {
          labelSelector: {
            matchLabels: { 'app.kubernetes.io/name': 'lockstep', 'app.kubernetes.io/component': 'redis' },
          },
          namespaceSelector: {},
          topologyKey: 'kubernetes.io/hostname',
        },
      },
    ]);
    expect(podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution).to.have.length(1);
  });

  it('minds no lease store of the installation when it has one of its own', () => {
    const ftvm = sampleFtvm({ spec: { store: { secretName: 'mine' } } });
    const { affinity } = buildVmi(ftvm, PRIMARY).spec as VmiSpec;
    expect(affinity?.podAntiAffinity).to.have.all.keys('requiredDuringSchedulingIgnoredDuringExecution');
  });

  it('keeps every kind of affinity that the template has, ours beside it', () => {
    const term = { topologyKey: 'zone', labelSelector: { matchLabels: { app: 'noisy' } } };
    const own: NonNullable<VmiSpec['affinity']> = {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: 'disk', operator: 'In', values: ['ssd'] }] }],
        },
      },
      podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] },
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [term],
        preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 7, podAffinityTerm: term }],
      },
    };
    const { affinity } = specOf({ ...MASQUERADE, affinity: own });
    expect(affinity).to.deep.include({ nodeAffinity: own.nodeAffinity, podAffinity: own.podAffinity });
    const { podAntiAffinity } = affinity ?? {};
    const preferred = podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution;
    const required = podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
    expect(preferred?.map(({ weight }) => weight)).to.deep.equal([7, 100]);
    expect(preferred?.[0]?.podAffinityTerm).to.deep.equal(term);
    expect([required?.length, required?.[0]]).to.deep.equal([2, term]);
  });

  it('has the host name and the firmware UUID of the other side, although its own name is another', () => {
    const [one, other] = [specOf(), specOf(MASQUERADE, BACKUP)];
    expect(one.hostname).to.equal('db');
    expect(one.domain.firmware?.uuid).to.match(
      /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    expect([other.hostname, other.domain.firmware?.uuid]).to.deep.equal([
      one.hostname,
      one.domain.firmware?.uuid,
    ]);
  });

  it('keeps a host name and a UUID that the template gives', () => {
    const uuid = '11111111-2222-4333-8444-555555555555';
    const spec = specOf({
      ...MASQUERADE,
      hostname: 'mine',
      domain: { ...MASQUERADE.domain, firmware: { uuid } },
    });
    expect([spec.hostname, spec.domain.firmware?.uuid]).to.deep.equal(['mine', uuid]);
  });

  it('has no balloon, no vsock, no container that reads its console, and no hotplug', () => {
    expect(specOf().domain.devices).to.include({
      autoattachMemBalloon: false,
      autoattachVSOCK: false,
      logSerialConsole: false,
      disableHotplug: true,
    });
  });

  it('has one vCPU, however many CPUs it asks its node for', () => {
    const resources = { requests: { cpu: '4' }, limits: { cpu: '4' } };
    const { domain } = specOf({ ...MASQUERADE, domain: { ...MASQUERADE.domain, resources } });
    expect(domain.cpu).to.deep.equal({ cores: 1, sockets: 1, threads: 1, maxSockets: 1 });
    expect(domain.resources).to.deep.equal(resources);
  });

  it('on the pod network: the same MAC on both sides, of the locally administered kind', () => {
    const macs = [PRIMARY, BACKUP].map(
      (side) => specOf(MASQUERADE, side).domain.devices.interfaces?.[0]?.macAddress,
    );
    expect(macs[0]).to.match(/^02(:[0-9a-f]{2}){5}$/);
    expect(macs[1]).to.equal(macs[0]);
    expect(guestMacOf(sampleFtvm())).to.equal(null);
  });

  it('on a secondary network: KubeVirt is told no MAC, the sidecar is', () => {
    const macAddress = '02:00:00:00:00:07';
    const interfaces = [{ name: 'l2', bridge: {}, macAddress }];
    const template: VmiSpec = { ...BRIDGE, domain: { ...BRIDGE.domain, devices: { interfaces } } };
    expect(specOf(template).domain.devices.interfaces).to.deep.equal([{ name: 'l2', bridge: {} }]);
    expect(guestMacOf(sampleFtvm({ template }))).to.equal(macAddress);
    expect(guestMacOf(sampleFtvm({ template: BRIDGE }))).to.match(/^02(:[0-9a-f]{2}){5}$/);
  });

  it('goes to nodes that both template and placement allow', () => {
    const ftvm = sampleFtvm({
      template: { ...MASQUERADE, nodeSelector: { disk: 'ssd' } },
      spec: { placement: { nodeSelector: { zone: 'a' } } },
    });
    const { nodeSelector } = buildVmi(ftvm, PRIMARY).spec as VmiSpec;
    expect(nodeSelector).to.deep.equal({ disk: 'ssd', zone: 'a' });
  });

  it('tells the webhook which network the channel has, and leaves to KubeVirt what Multus reads', () => {
    const ftvm = sampleFtvm({ spec: { placement: { loggingNetwork: 'ft/log' } } });
    const { annotations } = buildVmi(ftvm, PRIMARY).metadata;
    expect(annotations).to.deep.equal({
      'lockstep.dev/started-as': 'primary',
      'lockstep.dev/scheduler': 'default-scheduler',
      'lockstep.dev/logging-network': 'ft/log',
    });
  });

  it('passes on what it does not know', () => {
    const future = { ...MASQUERADE, somethingNew: { deep: [1] } } as VmiSpec;
    expect(specOf(future)).to.deep.include({ somethingNew: { deep: [1] } });
  });

  it('carries the labels by which it is found, over those of the template, and belongs to its resource', () => {
    const ftvm = sampleFtvm({
      spec: {
        template: {
          metadata: { labels: { app: 'shop', 'lockstep.dev/vm': 'another' }, annotations: { note: 'x' } },
          spec: MASQUERADE,
        },
      },
    });
    const { metadata } = buildVmi(ftvm, BACKUP);
    expect(metadata.name).to.equal('db-0002');
    expect(metadata.namespace).to.equal('shop');
    expect(metadata.labels).to.deep.equal({
      app: 'shop',
      'lockstep.dev/vm': 'db',
      'lockstep.dev/vmi': 'db-0002',
      'app.kubernetes.io/managed-by': 'lockstep',
    });
    expect(metadata.annotations).to.include({ note: 'x', 'lockstep.dev/started-as': 'backup' });
    expect(metadata.ownerReferences).to.have.length(1);
    expect(metadata.ownerReferences?.[0]).to.include({
      uid: UID,
      controller: true,
      blockOwnerDeletion: false,
    });
  });

  it('leaves the resource as it was', () => {
    const ftvm = sampleFtvm();
    const before = structuredClone(ftvm);
    buildVmi(ftvm, PRIMARY);
    expect(ftvm).to.deep.equal(before);
  });
});
