// SPDX-License-Identifier: Apache-2.0
// Bugs that others had (README.md), of machines that cannot be followed: here they are refused by name, or never made.
import { expect } from 'chai';
import { devices, domain, GOOD, merged, type Json } from '../../operator/webhook/test/manifests.js';
import { objectionsTo, sentenceOf } from '../../operator/webhook/validate.js';
import type { Ftvm } from '../../operator/api/ftvm.js';
import {
  ArgvError,
  backupArgv,
  deviceHash,
  primaryArgv,
  type Files,
} from '../../sidecar/kubevirt/argv/index.js';
import { recorded } from '../../sidecar/kubevirt/argv/test/recorded.js';
import { PROTOCOL_VERSION } from '../../sidecar/protocol/frames.js';
import { judgeHello, type House } from '../../sidecar/protocol/primary/admission.js';

const LIBVIRT = recorded('kubevirt-1.7.0');
const CHOSEN = { cpuModel: 'EPYC', mac: null };
const FILES: Files = {
  dir: '/run/lockstep/n',
  ringFile: '/run/lockstep/n/ring',
  qmpSocket: '/run/lockstep/n/qmp.sock',
  netSocket: '/run/lockstep/n/net.sock',
  cloneSocket: '/run/lockstep/n/clone.sock',
};

const changed = (from: string, to: string): string[] => LIBVIRT.map((word) => word.replace(from, to));
const bothSides = (argv: readonly string[]): string[][] => [
  primaryArgv(argv, FILES, CHOSEN),
  backupArgv(argv, argv, FILES, CHOSEN),
];
/** The name of the refusal, of a primary's command line. */
const refusal = (argv: readonly string[]): string => {
  try {
    primaryArgv(argv, FILES, CHOSEN);
  } catch (error) {
    if (error instanceof ArgvError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'nothing was refused';
};
const valuesOf = (argv: readonly string[], name: string): string[] =>
  argv.filter((_word, index) => argv[index - 1] === `-${name}`);

/** What the webhook says to a template that is changed so. */
const said = (change: Json): string =>
  sentenceOf(
    objectionsTo(
      { metadata: { name: 'web' }, spec: { template: merged(GOOD, change) } } as unknown as Ftvm,
      null,
    ),
  );

const identityOf = (argv: readonly string[], chosen = CHOSEN): House['identity'] => ({
  engine: 'record-replay',
  logVersion: 1,
  qemuVersion: '10.0.2',
  deviceHash: deviceHash(argv, chosen),
});
/** Why a primary of libvirt's machine takes no backup of that identity. */
function refusedHello(identity: House['identity']): string | undefined {
  const house: House = {
    vm: 'a',
    nonce: 'primary',
    identity: identityOf(LIBVIRT),
    enabled: true,
    alone: true,
    undecided: false,
    resumable: null,
  };
  const hello = {
    type: 'hello',
    protocol: PROTOCOL_VERSION,
    vm: 'a',
    nonce: 'backup',
    ringBytes: 1,
  } as const;
  return judgeHello({ ...hello, identity, resume: null }, house)?.reason;
}

describe('bugs of others, refused or never made', () => {
  it('QEMU #2790: a multiplexed monitor is dead while the guest is paused. Here each has a socket of its own, on both sides', () => {
    for (const argv of bothSides(LIBVIRT)) {
      expect(argv.join(' ')).to.not.include('mux=on');
      expect(valuesOf(argv, 'qmp')).to.deep.equal(['unix:/run/lockstep/n/qmp.sock,server=on,wait=off']);
    }
  });

  it('QEMU #2830: break- and watchpoints of gdb move the warp timer. Here QEMU with a gdb stub is not started', () => {
    expect(refusal([...LIBVIRT, '-gdb', 'tcp::1234'])).to.match(/^option: .*-gdb/);
    expect(refusal([...LIBVIRT, '-s'])).to.not.equal('nothing was refused');
  });

  it('LP 1795369, LP 1790460: events are missed, and guests slow, with icount and sleep=off. Here it is never off, on both sides', () => {
    for (const argv of bothSides(LIBVIRT)) {
      const values = valuesOf(argv, 'icount');
      expect(values).to.have.length(1);
      expect(values[0]).to.not.match(/sleep/);
    }
    expect(refusal([...LIBVIRT, '-icount', 'shift=1,sleep=off'])).to.match(/^option: .*-icount/);
  });

  it('QEMU #2736: state of another -icount, -rtc, -cpu, machine or memory is loaded. Here such a backup is refused at hello', () => {
    expect(refusedHello(identityOf(LIBVIRT))).to.equal(undefined);
    for (const [what, identity] of [
      ['memory', identityOf(changed('size=262144k', 'size=524288k'))],
      ['processor', identityOf(LIBVIRT, { ...CHOSEN, cpuModel: 'qemu64' })],
      ['device', identityOf(changed('"vgamem_mb":16', '"vgamem_mb":32'))],
      ['clock', identityOf(changed('base=utc', 'base=localtime'))],
    ] as const)
      expect(refusedHello(identity), what).to.equal('deviceHash');
    expect(refusedHello({ ...identityOf(LIBVIRT), qemuVersion: '10.1.0' })).to.equal('qemuVersion');
    // Neither libvirt nor a person chooses the instruction clock: both sides have the one of their release.
    expect(refusal([...LIBVIRT, '-icount', 'shift=7'])).to.match(/^option: .*-icount/);
  });

  it('LP 1702621: loading a checkpoint again and again crashes. Here there is no such engine: a side that has one is refused', () => {
    expect(refusedHello({ ...identityOf(LIBVIRT), engine: 'checkpoints' })).to.equal('engineKind');
  });

  it('QEMU #839: qxl on the secondary, with a viewer attached. Here qxl is refused at apply and at the start of QEMU', () => {
    expect(said(devices({ video: { type: 'qxl' } }))).to.match(
      /^spec.template.spec.domain.devices.video.type: .*vga/,
    );
    expect(refusal([...LIBVIRT, '-device', '{"driver":"qxl-vga","id":"video1"}'])).to.match(/^device: .*qxl/);
  });

  it('COLO: QEMU crashes at a shutdown with -no-shutdown. Here that option never reaches QEMU, on either side', () => {
    expect(LIBVIRT).to.include('-no-shutdown');
    for (const argv of bothSides(LIBVIRT)) expect(argv).to.not.include('-no-shutdown');
  });

  it('COLO: q35 does not work. Here it is the chipset that is protected, and another is refused', () => {
    expect(said({})).to.equal('');
    expect(said(domain({ machine: { type: 'q35' } }))).to.equal('');
    expect(said(domain({ machine: { type: 'pc-i440fx-10.0' } }))).to.match(/machine.type: .*q35/);
    expect(refusal(changed('pc-q35-10.0', 'pc-i440fx-10.0'))).to.match(/^machine: .*q35/);
  });
});
