// SPDX-License-Identifier: Apache-2.0
// A machine that does not run: `up` fails in QEMU's own words, and leaves nothing.
import { expect } from 'chai';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalError } from '../../cli/local/errors.js';
import { pairLayout, REPO } from '../../cli/local/layout.js';
import { run } from '../../cli/local/run.js';
import { leftoversOf } from './support/leftovers.js';

const MAIN = join(REPO, 'build/cli/main.js');
const UP_MS_MAX = 90_000;
const KERNEL_BYTES = 100_000;

describe('lockstep up', function () {
  this.timeout(UP_MS_MAX + 5000);
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'lockstep-up-'));
    await writeFile(join(dir, 'no-kernel'), Buffer.alloc(KERNEL_BYTES, 'no kernel '));
  });
  after(() => rm(dir, { recursive: true }));

  for (const [what, option, words] of [
    ['a processor that is none', ['--cpu', 'nosuchcpu'], /unable to find CPU model 'nosuchcpu'/],
    ['a kernel that is none', ['--kernel', 'no-kernel'], /linux kernel too old to load a ram disk/],
  ] as const) {
    it(`says what QEMU says of ${what}, and leaves nothing`, async () => {
      const layout = pairLayout('upfails');
      const [name, value] = option;
      const args = ['up', '--pair', layout.name, name, name === '--kernel' ? join(dir, value) : value];
      const failed = await run(process.execPath, [MAIN, ...args], { timeoutMs: UP_MS_MAX }).catch(
        (error: unknown) => error,
      );
      expect(failed).to.be.instanceOf(LocalError);
      expect((failed as LocalError).message).to.match(words);
      expect(await leftoversOf(layout)).to.deep.equal([]);
    });
  }
});
