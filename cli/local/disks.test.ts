// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  hostImage,
  hostOfDisks,
  lifeOf,
  makeImagesReady,
  parseDisk,
  parseSize,
  refuseOldImages,
  settleDisks,
} from './disks.js';
import { LocalError } from './errors.js';
import { pairLayout } from './layout.js';
import { DEFAULT_CHOICE, DEFAULT_MACHINE, makeSettings } from './pair.js';
import type { Pair } from './settings.js';

const MIB = 1024 * 1024;

describe('disks of a local pair', () => {
  const layout = pairLayout('disktest');
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lockstep-disks-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  const at = (name: string): string => join(folder, name);
  const hosts = layout.hosts;

  function pairOf(...texts: string[]): Pair {
    const disks = settleDisks(texts.map(parseDisk), layout);
    return {
      layout,
      settings: makeSettings(layout, { ...DEFAULT_CHOICE, machine: { ...DEFAULT_MACHINE, disks } }),
    };
  }

  it('sizes are what people write', () => {
    expect(['4G', '512M', '4096', '2TiB'].map(parseSize)).to.deep.equal([
      4 * 2 ** 30,
      512 * MIB,
      4096,
      2 * 2 ** 40,
    ]);
    for (const text of ['', 'G', '1.5G', '-1', '4X']) expect(parseSize(text), text).to.equal(null);
  });

  const REFUSED: readonly [string, RegExp][] = [
    ['', /path of the image is missing/],
    ['/x,size=big', /"big" is no size/],
    ['/x,size=1000', /1 MiB to 16 TiB/],
    ['/x,size=1048577', /no whole number of sectors/],
    ['/x,bus=ide', /no bus "ide": say virtio-blk or virtio-scsi/],
    ['/x,sector=1024', /512 or 4096/],
    ['/x,mode=shared', /"mode=shared" is not known/],
  ];
  for (const [text, words] of REFUSED) {
    it(`refuses --disk '${text}' in words`, () => {
      expect(() => parseDisk(text)).to.throw(LocalError, words);
    });
  }

  it('makes a missing image of the size that is named, and takes the size of one that is there', () => {
    const pair = pairOf(`${at('x')},size=2M`);
    const [a, b] = hosts;
    if (a === undefined || b === undefined) throw new Error('two hosts');
    makeImagesReady(pair, a);
    expect(statSync(at('x.a')).size).to.equal(2 * MIB);
    expect(pairOf(at('x')).settings.machine.disks[0]).to.include({
      bytes: 2 * MIB,
      bus: 'virtio-blk',
      sectorBytes: 512,
    });
    expect(hostOfDisks(pair)).to.equal(null);
    expect(lifeOf(pair)).to.equal(1);
  });

  it('refuses what cannot be a disk, and says what to do', () => {
    expect(() => pairOf(at('none'))).to.throw(LocalError, /there is no image yet/);
    writeFileSync(at('mine'), 'x');
    expect(() => pairOf(at('mine')))
      .to.throw(LocalError)
      .with.property('cure')
      .that.includes('mv ');
    mkdirSync(at('dir'));
    expect(() => pairOf(`${at('dir')},size=1M`)).to.throw(LocalError, /is a folder/);
    expect(() => pairOf(`${at('no/x')},size=1M`)).to.throw(LocalError, /there is no folder/);
    expect(() => pairOf(`${at('x')},size=1M`, `${at('dir/../x')},size=1M`)).to.throw(
      LocalError,
      /for two disks/,
    );
    writeFileSync(at('y.b'), Buffer.alloc(MIB));
    expect(() => pairOf(`${at('y')},size=2M`)).to.throw(LocalError, /has 1048576 bytes, not 2097152/);
  });

  it('starts where the newest image is, and refuses the older one', () => {
    const pair = pairOf(`${at('x')},size=1M`);
    const [disk] = pair.settings.machine.disks;
    const [a, b] = hosts;
    if (a === undefined || b === undefined || disk === undefined) throw new Error('two hosts and a disk');
    for (const [host, epoch] of [
      [a, 1],
      [b, 2],
    ] as const) {
      makeImagesReady(pair, host);
      const record = {
        version: 1,
        vm: layout.name,
        state: 'owner',
        life: 3,
        epoch,
        side: '',
        of: null,
        position: 0,
      };
      writeFileSync(`${hostImage(disk, host)}.lockstep`, JSON.stringify(record));
    }
    expect(hostOfDisks(pair)?.name).to.equal('b');
    expect(lifeOf(pair)).to.equal(4);
    refuseOldImages(pair, b);
    expect(() => {
      refuseOldImages(pair, a);
    }).to.throw(LocalError, /is not the disk: it is older \(life 3, epoch 1, owner\)/);
  });

  it("refuses another VM's disk, and says what to do", () => {
    const pair = pairOf(`${at('x')},size=1M`);
    const [disk] = pair.settings.machine.disks;
    const [, b] = hosts;
    if (b === undefined || disk === undefined) throw new Error('two hosts and a disk');
    makeImagesReady(pair, b);
    const record = {
      version: 1,
      vm: 'other',
      state: 'owner',
      life: 9,
      epoch: 9,
      side: '',
      of: null,
      position: 0,
    };
    writeFileSync(`${hostImage(disk, b)}.lockstep`, JSON.stringify(record));
    for (const look of [hostOfDisks, lifeOf]) {
      expect(() => look(pair))
        .to.throw(LocalError, /x\.b is a disk of VM 'other', not of 'disktest'/)
        .with.property('cure')
        .that.includes('remove ');
    }
  });
});
