// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { boundFile } from './bounded-file.js';
import { lastWords } from './last-words.js';

describe('the last words of a program', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'lockstep-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('are the last lines that say something', async () => {
    await writeFile(join(dir, 'qemu.log'), 'one\ntwo\nqemu: warning: no xsavec\n\nthree\nfour\n\n');
    expect(await lastWords(dir, 'qemu')).to.equal('two | three | four');
  });

  it('are bounded, however much it said', async () => {
    await writeFile(join(dir, 'sidecar.log'), `${'x'.repeat(100_000)}\nend\n`);
    const words = await lastWords(dir, 'sidecar');
    expect(words).to.match(/ \| end$/);
    expect(words.length).to.be.below(5000);
  });

  it('are in the older part of a log that was just cut', async () => {
    await writeFile(join(dir, 'sidecar.log'), 'one\ntwo\nthree\n');
    await boundFile(join(dir, 'sidecar.log'), 5);
    expect(await lastWords(dir, 'sidecar')).to.equal('one | two | three');
    await appendFile(join(dir, 'sidecar.log'), 'four\n');
    expect(await lastWords(dir, 'sidecar')).to.equal('two | three | four');
  });

  it('are none when it said nothing', async () => {
    expect(await lastWords(dir, 'qemu')).to.equal('');
    await writeFile(join(dir, 'qemu.log'), '');
    expect(await lastWords(dir, 'qemu')).to.equal('');
  });
});
