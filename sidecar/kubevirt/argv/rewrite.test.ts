// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { ArgvError, backupArgv, deviceHash, nicOf, primaryArgv, type Files } from './index.js';
import { formatKeys, parseKeys, parseOptions } from './options.js';
import { recorded } from './test/recorded.js';

const PRIMARY = recorded('kubevirt-1.7.0');
const files = (nonce: string): Files => ({
  dir: `/run/lockstep/${nonce}`,
  ringFile: `/run/lockstep/${nonce}/ring`,
  qmpSocket: `/run/lockstep/${nonce}/qmp.sock`,
  netSocket: `/run/lockstep/${nonce}/net.sock`,
  cloneSocket: `/run/lockstep/${nonce}/clone.sock`,
});
const CHOSEN = { cpuModel: 'EPYC', mac: null };

/** The same machine, as libvirt of another launcher pod would start it: other descriptors, names and paths. */
const OWN = PRIMARY.map((word) =>
  word
    .replaceAll('default_d1', 'default_d2')
    .replaceAll('domain-1-', 'domain-7-')
    .replaceAll('5622514a-a0ad-46e5-aa44-ff531382a2b0', '00000000-1111-2222-3333-444444444444')
    .replaceAll('"fd":"21"', '"fd":"41"')
    .replace(/fd=(17|18|19|20)\b/, (_all, number: string) => `fd=${Number(number) + 20}`)
    .replaceAll('2a:1e:03:65:f0:c7', '2a:1e:03:65:f0:ff'),
);

const valuesOf = (argv: readonly string[], name: string): string[] =>
  argv.filter((_word, index) => argv[index - 1] === `-${name}`);
const record = (argv: readonly string[] = PRIMARY): string[] => primaryArgv(argv, files('aaaa'), CHOSEN);
const replay = (own: readonly string[] = OWN): string[] => backupArgv(PRIMARY, own, files('bbbb'), CHOSEN);
const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (error instanceof ArgvError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'nothing was refused';
};
const changed = (from: string | RegExp, to: string): string[] =>
  PRIMARY.map((word) => word.replace(from, to));

describe("a primary's command line, from a real libvirt's", () => {
  const argv = record();

  it('records, has a monitor of ours, and finds its firmware', () => {
    expect(valuesOf(argv, 'icount')).to.deep.equal(['shift=1,rr=record,rrfile=lockstep.ftlog']);
    expect(valuesOf(argv, 'qmp')).to.deep.equal(['unix:/run/lockstep/aaaa/qmp.sock,server=on,wait=off']);
    expect(valuesOf(argv, 'L')).to.deep.equal(['/opt/lockstep/share/qemu']);
    expect(argv).to.not.include('-incoming');
  });

  it("puts the sidecar in the tap's place, under the name that libvirt knows", () => {
    expect(valuesOf(argv, 'netdev')).to.deep.equal([
      'stream,id=hostua-default,server=off,addr.type=unix,addr.path=/run/lockstep/aaaa/net.sock',
    ]);
    expect(argv.join(' ')).to.include('filter-replay,id=lockstep-replay,netdev=hostua-default,queue=tx');
    const [nic = ''] = valuesOf(argv, 'device').filter((one) => one.includes('virtio-net'));
    expect(JSON.parse(nic)).to.include({ netdev: 'hostua-default', id: 'ua-default', guest_announce: false });
  });

  it("keeps what libvirt leans on: monitor, console, display, and its own secret's key", () => {
    for (const kept of ['charmonitor', 'charserial0', 'virt-vnc', 'masterKey0', 'set=0,fd=19'])
      expect(argv.join(' ')).to.include(kept);
    expect(argv).to.include('-S');
    expect(valuesOf(argv, 'sandbox')).to.have.length(1);
  });

  it('leaves nothing that is in no log', () => {
    const all = argv.join(' ');
    for (const gone of [
      'org.qemu.guest_agent.0',
      'virtio-balloon',
      'rng-random',
      '/dev/urandom',
      'no-shutdown',
    ])
      expect(all).to.not.include(gone);
    expect(all).to.include('rng-builtin');
    expect(valuesOf(argv, 'machine')[0]).to.match(/hpet=off/);
    expect(valuesOf(argv, 'cpu')).to.deep.equal(['EPYC']);
    expect(valuesOf(argv, 'accel')).to.deep.equal(['tcg']);
    expect(all).to.include('"prealloc":true');
  });

  it('logs what people type: the console is of the kind that QEMU records', () => {
    expect(valuesOf(argv, 'serial')).to.deep.equal(['chardev:charserial0']);
    expect(argv.join(' ')).to.not.include('isa-serial');
  });

  it('gives machines of Enterprise Linux the name that ours has', () => {
    const [machine] = valuesOf(record(changed('pc-q35-10.0', 'pc-q35-rhel9.6.0')), 'machine');
    expect(machine).to.match(/^pc-q35-10\.0,/);
    const [same] = valuesOf(record(changed('pc-q35-10.0', 'pc-q35-7.2')), 'machine');
    expect(same).to.match(/^pc-q35-7\.2,/);
  });

  it('starts anew with its guest, unless the VM is to end then', () => {
    expect(argv).to.not.include('-no-reboot');
    expect(record([...PRIMARY, '-no-reboot'])).to.include('-no-reboot');
  });

  it('does the same again with the same', () => {
    expect(record()).to.deep.equal(argv);
  });
});

describe("a backup's command line", () => {
  const argv = replay();

  it('waits for a clone, and replays', () => {
    expect(valuesOf(argv, 'icount')).to.deep.equal(['shift=1,rr=replay,rrfile=lockstep.ftlog']);
    expect(valuesOf(argv, 'incoming')).to.deep.equal(['defer']);
  });

  it("has the primary's devices, in their order and at their addresses", () => {
    expect(valuesOf(argv, 'device')).to.deep.equal(valuesOf(record(), 'device'));
    for (const name of ['uuid', 'smbios', 'm', 'smp', 'machine', 'cpu'])
      expect(valuesOf(argv, name), name).to.deep.equal(valuesOf(record(), name));
  });

  it('has the bindings of its own host, and none of the other', () => {
    const all = argv.join(' ');
    for (const own of [
      'default_d2',
      'domain-7-',
      'fd=40',
      'fd=37',
      'fd=39',
      '44444444',
      '/run/lockstep/bbbb/',
    ])
      expect(all, own).to.include(own);
    for (const other of ['default_d1', 'domain-1-', '5622514a', '/run/lockstep/aaaa/', 'fd=17,', 'fd=20,'])
      expect(all, other).to.not.include(other);
  });

  it('is refused where libvirt did not make what the machine leans on', () => {
    const own = OWN.map((word) => word.replaceAll('charserial0', 'charserial9'));
    expect(codeOf(() => replay(own))).to.match(/^machineDiffers: .*charserial0.*same KubeVirt release/);
  });
});

describe('who can follow whom', () => {
  it("is told by the primary's machine, whatever binds it to its host", () => {
    expect(
      deviceHash(
        OWN.map((word) => word.replaceAll('f0:ff', 'f0:c7')),
        CHOSEN,
      ),
    ).to.equal(deviceHash(PRIMARY, CHOSEN));
  });

  for (const [what, argv, chosen] of [
    ['memory', changed('size=262144k', 'size=524288k'), CHOSEN],
    ['a device', changed('"vgamem_mb":16', '"vgamem_mb":32'), CHOSEN],
    [
      'an address',
      changed('"bus":"pci.1","addr":"0x0","romfile"', '"bus":"pci.2","addr":"0x0","romfile"'),
      CHOSEN,
    ],
    ['the processor', PRIMARY, { ...CHOSEN, cpuModel: 'qemu64' }],
    ['the MAC', PRIMARY, { ...CHOSEN, mac: '02:00:00:00:00:01' }],
  ] as const) {
    it(`differs with ${what}`, () => {
      expect(deviceHash(argv, chosen)).to.not.equal(deviceHash(PRIMARY, CHOSEN));
    });
  }

  it('knows the address of the guest', () => {
    expect(nicOf(PRIMARY)).to.deep.equal({ mac: '2a:1e:03:65:f0:c7' });
    const argv = primaryArgv(PRIMARY, files('aaaa'), { ...CHOSEN, mac: '02:00:00:00:00:01' });
    expect(argv.join(' ')).to.include('"mac":"02:00:00:00:00:01"').and.not.include('2a:1e:03');
  });
});

describe('what cannot be protected is refused by name, with what to change', () => {
  const withDevice = (keys: object): string[] => [...PRIMARY, '-device', JSON.stringify(keys)];
  const ROWS: readonly (readonly [string, string[], RegExp])[] = [
    ['two processors', changed(/^1,maxcpus=4/, '2,maxcpus=4'), /^cpus: 2 vCPUs.*cores to 1/],
    ['two interfaces', withDevice({ driver: 'virtio-net-pci', netdev: 'hostua-b' }), /^interfaces: 2 virtio/],
    ['an interface without tap', changed('"type":"tap"', '"type":"user"'), /^interfaces: .*type user/],
    ['a host device', withDevice({ driver: 'vfio-pci', host: '1' }), /^device: .*vfio.*SR-IOV/],
    ['a disk', [...PRIMARY, '-blockdev', '{"driver":"raw"}'], /^disk: .*leave disks/],
    [
      'a disk’s device',
      withDevice({ driver: 'virtio-blk-pci-non-transitional' }),
      /^device: .*virtio-blk.*disks/,
    ],
    ['a TPM', [...PRIMARY, '-tpmdev', 'emulator,id=t'], /^tpm: .*leave domain.devices.tpm out/],
    ['USB', withDevice({ driver: 'usb-tablet' }), /^device: .*inputs/],
    ['shared memory', changed('memory-backend-ram', 'memory-backend-memfd'), /^memory: .*hugepages/],
    ['another chipset', changed('pc-q35-10.0', 'pc-i440fx-10.0'), /^machine: .*q35/],
    ['EFI variables', changed('acpi=on', 'acpi=on,pflash0=libvirt-pflash0-format'), /^firmware: .*efi/],
    [
      'a second serial port',
      withDevice({ driver: 'isa-serial', chardev: 'charserial1', index: 1 }),
      /^device: .*one console/,
    ],
    [
      'a channel to the host',
      withDevice({ driver: 'virtserialport', name: 'org.github.vhostmd.1' }),
      /^device: channel org.github.vhostmd.1 .*downwardMetrics/,
    ],
    ['a device with the name of something else', withDevice({ driver: 'constructor' }), /^device: /],
    ['an option with the name of something else', [...PRIMARY, '-toString', 'x'], /^option: /],
    ['a device that nobody knows', withDevice({ driver: 'new-thing-pci' }), /^device: .*new-thing/],
    ['an option that nobody knows', [...PRIMARY, '-plugin', 'x'], /^option: .*-plugin/],
    ['half an option', [...PRIMARY, '-device'], /^argument: .*-device/],
    [
      'a rate-limited source of randomness',
      changed('"rng":"objrng0"', '"max-bytes":1024,"rng":"objrng0"'),
      /^device: .*rate limit/,
    ],
  ];
  for (const [what, argv, words] of ROWS) {
    it(what, () => {
      expect(codeOf(() => record(argv))).to.match(words);
    });
  }

  it('never with anything but a sentence, whatever the command line', () => {
    const word = fc.oneof(
      fc.constantFrom(...PRIMARY),
      fc.string(),
      fc.json().map((text) => `{"driver":${text}}`),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 40 }), (words) => {
        codeOf(() => record(['qemu', ...words]));
        codeOf(() => replay(['qemu', ...words]));
      }),
    );
  });

  it('wherever a word of a real command line is changed, lost, doubled or put elsewhere', () => {
    const index = fc.nat(PRIMARY.length - 1);
    const change = fc.tuple(fc.constantFrom('cut', 'lose', 'double', 'swap'), index, index, fc.nat(80));
    const apply = (words: string[], [how, at, other, length]: [string, number, number, number]): string[] => {
      const word = words[at] ?? '';
      if (how === 'cut') return words.with(at, word.slice(0, length));
      if (how === 'swap') return words.with(at, words[other] ?? '').with(other, word);
      return words.toSpliced(at, 1, ...(how === 'double' ? [word, word] : []));
    };
    fc.assert(
      fc.property(change, (one) => {
        const argv = apply(PRIMARY, one);
        codeOf(() => replay(argv));
        codeOf(() => {
          const made = record(argv);
          // What was taken is protected all the same.
          expect(valuesOf(made, 'accel').at(-1)).to.equal('tcg');
          expect(valuesOf(made, 'netdev')).to.have.length(1);
          expect(made.join(' ')).to.match(/rr=record/);
          // By the options that make something: in another's value such words mean nothing.
          const parts = ['device', 'object', 'netdev'].flatMap((name) => valuesOf(made, name));
          expect(parts.join(' ')).to.not.match(/rng-random|"type":"tap"|isa-serial/);
        });
      }),
      { numRuns: 500 },
    );
  });
});

describe('values of options', () => {
  it('are read and written without a change', () => {
    for (const { value } of parseOptions(PRIMARY)) {
      if (value === null || value.startsWith('{') || !value.includes('=')) continue;
      expect(parseKeys(formatKeys(parseKeys(value, 'first'), 'first'), 'first')).to.deep.equal(
        parseKeys(value, 'first'),
      );
    }
  });

  it('may have commas', () => {
    expect(parseKeys('a,path=/x,,y', 'first')).to.deep.equal({ first: 'a', path: '/x,y' });
    expect(formatKeys({ first: 'a', path: '/x,y' }, 'first')).to.equal('a,path=/x,,y');
  });
});
