// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { boundFile, olderPart } from './bounded-file.js';
import { run } from './run.js';

describe('a bounded file', () => {
  let dir: string;
  let file: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'lockstep-'));
    file = join(dir, 'serial.log');
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('is left alone until it has outgrown its bound', async () => {
    expect(await boundFile(file, 10)).to.equal(false);
    await writeFile(file, '0123456789');
    expect(await boundFile(file, 10)).to.equal(false);
    expect(existsSync(olderPart(file))).to.equal(false);
  });

  it('never keeps more than twice its bound and what came between two looks, in order', async () => {
    const writer = await open(file, 'a');
    try {
      for (let line = 100; line < 200; line++) {
        await writer.write(`${line}\n`);
        await boundFile(file, 40);
        const older = existsSync(olderPart(file)) ? (await stat(olderPart(file))).size : 0;
        expect(older + (await stat(file)).size).to.be.at.most(2 * 44);
      }
    } finally {
      await writer.close();
    }
    const kept = (await readFile(olderPart(file), 'utf8')) + (await readFile(file, 'utf8'));
    const lines = kept.trim().split('\n').map(Number);
    expect(lines.at(-1)).to.equal(199);
    expect(lines).to.deep.equal(lines.map((_, index) => (lines[0] ?? 0) + index));
  });

  it('is cut also where there is no room for its older part', async () => {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'lockstep-test', dir]);
    try {
      await writeFile(olderPart(file), 'x'.repeat(20_000));
      await writeFile(file, 'y'.repeat(40_000));
      expect(await boundFile(file, 10)).to.equal(true);
      expect((await stat(file)).size).to.equal(0);
      expect(existsSync(olderPart(file))).to.equal(false);
    } finally {
      await run('umount', [dir]);
    }
  });
});
