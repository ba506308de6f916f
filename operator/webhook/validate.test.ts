// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { Ftvm } from '../api/ftvm.js';
import { bytesOf, migrationObjection, objectionsTo, RULES, sentenceOf } from './validate.js';

const GOOD = {
  domain: {
    memory: { guest: '256Mi' },
    firmware: { kernelBoot: { container: { image: 'guest', kernelPath: '/boot/vmlinuz' } } },
    devices: { interfaces: [{ name: 'default', masquerade: {}, ports: [{ port: 80 }] }] },
  },
  networks: [{ name: 'default', pod: {} }],
};

/** The good VM with one value put at a path below spec.template.spec. */
function withValue(path: string, value: unknown): Ftvm {
  const spec = structuredClone(GOOD) as Record<string, unknown>;
  const keys = path === '' ? [] : path.split('.');
  let here = spec;
  for (const key of keys.slice(0, -1)) here = (here[key] ??= {}) as Record<string, unknown>;
  const last = keys.at(-1);
  if (last !== undefined) here[last] = value;
  return { metadata: { name: 'web' }, spec: { template: { spec } } } as unknown as Ftvm;
}

const said = (ftvm: Ftvm, before: Ftvm | null = null): string => sentenceOf(objectionsTo(ftvm, before));
const nic = (one: object): Ftvm => withValue('domain.devices.interfaces', [one]);

/** Each refusal with something that meets it. */
const REFUSED: readonly (readonly [string, unknown, RegExp])[] = [
  ['domain.cpu', { cores: 2 }, /domain\.cpu: .*one vCPU.*to 1/],
  ['domain.cpu', { sockets: 1, cores: 1, threads: 2 }, /one vCPU/],
  ['domain.cpu.dedicatedCpuPlacement', true, /dedicated/],
  ['domain.cpu.isolateEmulatorThread', true, /isolateEmulatorThread/],
  ['domain.cpu.numa', {}, /numa/],
  ['domain.cpu.realtime', {}, /realtime/],
  ['domain.memory.hugepages', { pageSize: '2Mi' }, /hugepages/],
  ['domain.memory.maxGuest', '4Gi', /maxGuest/],
  ['domain.memory', {}, /whole MiB/],
  ['domain.memory.guest', '1000k', /whole MiB/],
  ['domain.devices.rng', {}, /rng/],
  ['domain.devices.tpm', {}, /tpm/],
  ['domain.devices.watchdog', { name: 'w' }, /watchdog/],
  ['domain.devices.sound', { name: 's' }, /sound/],
  ['domain.devices.clientPassthrough', {}, /clientPassthrough/],
  ['domain.devices.downwardMetrics', {}, /downwardMetrics/],
  ['domain.devices.panicDevices', [{}], /panic/],
  ['domain.devices.inputs', [{ name: 'tablet', type: 'tablet', bus: 'usb' }], /inputs/],
  ['domain.devices.gpus', [{}], /gpus/],
  ['domain.devices.hostDevices', [{}], /hostDevices/],
  ['domain.devices.filesystems', [{}], /virtiofs/],
  ['domain.devices.disks', [{ name: 'root' }], /disks are not supported yet/],
  ['volumes', [{ name: 'root' }], /disks are not supported yet/],
  ['domain.devices.networkInterfaceMultiqueue', true, /one queue/],
  ['domain.devices.autoattachMemBalloon', true, /balloon/],
  ['domain.devices.autoattachVSOCK', true, /vsock/],
  ['domain.devices.autoattachInputDevice', true, /autoattachInputDevice/],
  ['domain.firmware.bootloader', { efi: {} }, /EFI/],
  ['domain.firmware.kernelBoot', undefined, /nothing to boot from/],
  ['domain.launchSecurity', {}, /launchSecurity/],
  ['domain.ioThreadsPolicy', 'auto', /ioThreadsPolicy/],
  ['livenessProbe', {}, /livenessProbe/],
  ['readinessProbe', {}, /readinessProbe/],
  ['evictionStrategy', 'LiveMigrate', /evictionStrategy/],
  ['startStrategy', 'Paused', /startStrategy/],
  ['nodeSelector', { 'kubernetes.io/hostname': 'a' }, /two nodes/],
];

describe('what is refused at apply', () => {
  it('nothing of a VM that can be protected', () => {
    expect(said(withValue('', null))).to.equal('');
    expect(said(withValue('domain.cpu', { cores: 1, model: 'EPYC' }))).to.equal('');
    expect(said(withValue('evictionStrategy', 'External'))).to.equal('');
    expect(said(withValue('domain.devices.autoattachMemBalloon', false))).to.equal('');
  });

  for (const [path, value, words] of REFUSED) {
    it(`${path} = ${JSON.stringify(value)}`, () => {
      expect(said(withValue(path, value))).to.match(words);
    });
  }

  it('each rule of the table, by one of these', () => {
    const met = REFUSED.flatMap(([path, value]) => objectionsTo(withValue(path, value), null));
    const fields = new Set(met.map(({ field }) => field.replace('spec.template.spec.', '')));
    expect(RULES.map(({ field }) => field).filter((field) => !fields.has(field))).to.deep.equal([]);
  });

  it('interfaces that no tap stands behind, or none, or several', () => {
    expect(said(withValue('domain.devices.interfaces', []))).to.match(/0 interfaces: exactly one/);
    const two = [
      { name: 'a', masquerade: {}, ports: [{ port: 80 }] },
      { name: 'b', bridge: {} },
    ];
    expect(said(withValue('domain.devices.interfaces', two))).to.match(/2 interfaces: exactly one/);
    expect(said(nic({ name: 'x', sriov: {} }))).to.match(/sriov passes the log by/);
    expect(said(nic({ name: 'x', passtBinding: {} }))).to.match(/passtBinding passes the log by/);
    expect(said(nic({ name: 'x', bridge: {}, model: 'e1000' }))).to.match(/e1000 cannot be followed/);
    expect(said(nic({ name: 'x', bridge: {}, state: 'down' }))).to.match(/leave state out/);
    expect(said(nic({ name: 'x', binding: { name: 'l2' } }))).to.equal('');
  });

  it("masquerade without ports, with the sidecar's, and a bridge on the pod network", () => {
    expect(said(nic({ name: 'default', masquerade: {} }))).to.match(/declare the guest's ports/);
    expect(said(nic({ name: 'default', masquerade: {}, ports: [{ port: 7700 }] }))).to.match(
      /7700 is the sidecar's/,
    );
    expect(said(nic({ name: 'default', bridge: {} }))).to.match(/only masquerade/);
  });

  it('a hook sidecar', () => {
    const ftvm = withValue('', null);
    const metadata = { annotations: { 'hooks.kubevirt.io/hookSidecars': '[]' } };
    const hooked = { ...ftvm, spec: { ...ftvm.spec, template: { ...ftvm.spec.template, metadata } } };
    expect(said(hooked)).to.match(/hook sidecar/);
  });

  it('all that is wrong at once, each with its place', () => {
    const ftvm = withValue('domain.devices', {
      rng: {},
      tpm: {},
      interfaces: GOOD.domain.devices.interfaces,
    });
    expect(objectionsTo(ftvm, null).map(({ field }) => field)).to.deep.equal([
      'spec.template.spec.domain.devices.rng',
      'spec.template.spec.domain.devices.tpm',
    ]);
  });

  it('a template without a machine', () => {
    expect(said({ metadata: { name: 'x' }, spec: { template: { spec: {} } } } as unknown as Ftvm)).to.match(
      /domain is missing/,
    );
  });

  it('a change of the template, and nothing else of a change', () => {
    const before = withValue('', null);
    expect(said(withValue('domain.memory.guest', '512Mi'), before)).to.match(
      /delete the resource and create it anew/,
    );
    expect(said({ ...before, spec: { ...before.spec, suspended: true } }, before)).to.equal('');
    const reordered = withValue('', null);
    const { domain, networks } = GOOD;
    const template = { spec: { networks, domain } };
    expect(said({ ...reordered, spec: { ...reordered.spec, template } }, before)).to.equal('');
  });

  it('nothing of a VM that is being deleted: its finalizer must come off', () => {
    const before = withValue('', null);
    const after = withValue('domain.memory.guest', '512Mi');
    const deleted = { ...after, metadata: { ...after.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
    expect(said(deleted, before)).to.equal('');
  });

  it('a migration of a side', () => {
    expect(sentenceOf([migrationObjection('web-12ab')])).to.match(/web-12ab.*drain its node/);
  });
});

describe('quantities', () => {
  for (const [text, bytes] of [
    ['256Mi', 256 * 1024 ** 2],
    ['1Gi', 1024 ** 3],
    ['1.5Gi', 1.5 * 1024 ** 3],
    ['1000', 1000],
    ['1M', 1e6],
    ['2Ki', 2048],
  ] as const) {
    it(text, () => {
      expect(bytesOf(text)).to.equal(bytes);
    });
  }
  it('are not what is none', () => {
    for (const text of ['', 'x', '1Zi', '-1Mi', undefined]) expect(bytesOf(text)).to.be.NaN;
  });
});
