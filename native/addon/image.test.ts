// SPDX-License-Identifier: Apache-2.0
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { AddonError } from './errors.js';
import { imageBytes, lockImage, nextData, punchHole } from './image.js';

const MIB = 1024 * 1024;

describe('disk images', () => {
  let folder = '';
  let file = '';
  const open: number[] = [];
  const opened = (): number => {
    const fd = openSync(file, 'r+');
    open.push(fd);
    return fd;
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lockstep-image-'));
    file = join(folder, 'image');
    writeFileSync(file, Buffer.alloc(3 * MIB, 7));
  });
  afterEach(() => {
    open.splice(0).forEach((fd) => closeSync(fd));
    rmSync(folder, { recursive: true });
  });

  it('a lock excludes another open of the same file, and ends with it', () => {
    const first = opened();
    lockImage(first);
    const second = opened();
    expect(() => lockImage(second))
      .to.throw(AddonError, /another process has it/)
      .with.property('code', 'IMAGE_LOCKED');
    closeSync(first);
    open.splice(open.indexOf(first), 1);
    lockImage(second);
  });

  it('tells the size', () => {
    expect(imageBytes(opened())).to.equal(3 * MIB);
  });

  it('makes holes, finds the data behind them, and keeps the size', async () => {
    const fd = opened();
    await punchHole(fd, 0, 2 * MIB);
    expect(nextData(fd, 0)).to.equal(2 * MIB);
    await punchHole(fd, 2 * MIB, MIB);
    expect(nextData(fd, 0)).to.equal(null);
    expect(statSync(file).size).to.equal(3 * MIB);
    expect(readFileSync(file).every((byte) => byte === 0)).to.equal(true);
  });

  it('a descriptor that is none is an error with its errno', async () => {
    expect(() => imageBytes(1023))
      .to.throw(AddonError)
      .with.property('errno', 'EBADF');
    const failed = await punchHole(1023, 0, 1).catch((error: unknown) => error);
    expect(failed).to.be.instanceOf(AddonError).with.property('errno', 'EBADF');
  });
});
