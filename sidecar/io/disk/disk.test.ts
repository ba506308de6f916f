// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { blockHead, CopyReader, CopyWireError, encode, type CopyMessage } from './copy-wire.js';
import { Image, ImageError } from './image.js';
import { readRecord, RecordFile, recordPath, requireWipeable } from './record.js';

const BYTES = 1024 * 1024;

describe('images', () => {
  let folder = '';
  let path = '';
  const open: Image[] = [];
  const opened = (bytes = BYTES, isFilled = false): Image => {
    const image = Image.open({ path, bytes, isFilled });
    open.push(image);
    return image;
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lockstep-disk-'));
    path = join(folder, 'image');
    writeFileSync(path, Buffer.alloc(BYTES, 7));
  });
  afterEach(() => {
    for (const image of open.splice(0)) image.close();
    rmSync(folder, { recursive: true });
  });

  it('what was written is read, zeroes are zeroes with and without room for them', async () => {
    const image = opened();
    expect(await image.write(512, Buffer.from('hello'))).to.deep.equal({ error: 0, written: 0 });
    expect((await image.read(512, 5)).data.toString()).to.equal('hello');
    for (const mayPunch of [true, false]) {
      await image.write(4096, Buffer.alloc(8192, 1));
      expect(await image.zero(4096, 8192, mayPunch)).to.deep.equal({ error: 0, written: 0 });
      expect((await image.read(4096, 8192)).data.every((byte) => byte === 0)).to.equal(true);
    }
    expect(await image.flush()).to.equal(0);
  });

  it('a file that somebody has made shorter is an I/O error, no hang and no zeroes', async () => {
    const image = opened();
    truncateSync(path, 4096);
    expect((await image.read(4096, 512)).error).to.equal(5);
    expect((await image.read(0, 512)).error).to.equal(0);
  });

  it('is cleared before it is filled, whatever size it had', async () => {
    truncateSync(path, 100);
    const image = opened(BYTES, true);
    await image.clear();
    expect(statSync(path).size).to.equal(BYTES);
    expect(image.nextData(0)).to.equal(null);
  });

  it('refuses in words: missing, a folder, of another size, in use', () => {
    const choice = { path, bytes: BYTES, isFilled: false };
    opened();
    expect(() => Image.open(choice)).to.throw(ImageError, /in use by another process/);
    mkdirSync(join(folder, 'dir'));
    expect(() => Image.open({ ...choice, path: join(folder, 'dir') })).to.throw(ImageError, /is a folder/);
    expect(() => Image.open({ ...choice, path: join(folder, 'none') })).to.throw(
      ImageError,
      /there is no image/,
    );
    writeFileSync(join(folder, 'small'), 'x');
    expect(() => Image.open({ ...choice, path: join(folder, 'small') })).to.throw(ImageError, /has 1 bytes/);
  });

  describe('record', () => {
    const record = {
      version: 1,
      vm: 'vm',
      state: 'owner',
      life: 2,
      epoch: 3,
      side: 'b',
      of: null,
      position: 4,
    } as const;

    it('says what was written last, in one sector', async () => {
      expect(readRecord(path)).to.equal(null);
      const file = RecordFile.open(path);
      expect(readRecord(path)).to.equal(null);
      const writes = [file.write({ ...record, epoch: 1 }), file.write(record)];
      await Promise.all(writes);
      expect(readRecord(path)).to.deep.equal(record);
      expect(readFileSync(recordPath(path)).length).to.equal(512);
      await file.close();
    });

    it('a copy may wipe what this VM has had, and what is empty, and nothing else', async () => {
      const image = opened(BYTES, true);
      const wipe = (vm: string) => () => {
        requireWipeable(image, vm);
      };
      expect(wipe('vm')).to.throw(ImageError, /image holds data.*would wipe it\. Move it away, or remove it/);
      const file = RecordFile.open(path);
      expect(wipe('vm')).to.throw(ImageError, /holds data/); // an empty record says nothing
      await file.write(record);
      expect(wipe('vm')).not.to.throw();
      expect(wipe('other')).to.throw(ImageError, /is a disk of VM 'vm'.*move it away together with/);
      await file.close();
      rmSync(recordPath(path));
      truncateSync(path, 0);
      truncateSync(path, BYTES);
      expect(wipe('vm')).not.to.throw();
    });

    it('a damaged one is told, not guessed', () => {
      writeFileSync(recordPath(path), '{"version":1');
      expect(() => readRecord(path)).to.throw(ImageError, /damaged/);
    });
  });
});

describe('what travels when disks are copied', () => {
  const MESSAGES: readonly CopyMessage[] = [
    { type: 'begin', life: 3, bytes: [1024, 2 ** 41] },
    { type: 'block', disk: 1, block: 70_000, data: Buffer.alloc(65_536, 9) },
    { type: 'zeroes', disk: 0, from: 1, to: 4_000_000 },
    { type: 'want', disk: 0, block: 7 },
    { type: 'end' },
    { type: 'whole' },
  ];
  const bytes = Buffer.concat(
    MESSAGES.map((message) =>
      message.type === 'block'
        ? Buffer.concat([blockHead(message.disk, message.block, message.data.length), message.data])
        : encode(message),
    ),
  );

  it('comes out as it went in, wherever it is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 8 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const got: CopyMessage[] = [];
        const reader = new CopyReader((message) => got.push(message));
        at.slice(1).forEach((end, index) => {
          reader.push(bytes.subarray(at[index], end));
        });
        expect(got).to.deep.equal(MESSAGES);
      }),
    );
  });

  it('garbage is an error with its name', () => {
    const reader = new CopyReader(() => undefined);
    expect(() => {
      reader.push(Buffer.from([99]));
    }).to.throw(CopyWireError);
    expect(() => {
      new CopyReader(() => undefined).push(blockHead(0, 0, 1_000_000));
    }).to.throw(CopyWireError, /1000000/);
  });
});
