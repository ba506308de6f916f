// SPDX-License-Identifier: Apache-2.0
// Ctrl-C while a VM is brought up: what was made is cleared away.
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { EXIT } from '../../cli/exit-codes.js';
import { pairLayout, REPO } from '../../cli/local/layout.js';
import { leftoversOf } from './support/leftovers.js';

const MAIN = join(REPO, 'build/cli/main.js');
const BOOTS = /starting the VM/;

for (const words of ['up --machine small', 'demo']) {
  it(`lockstep ${words}: Ctrl-C while the VM boots leaves nothing`, async function () {
    this.timeout(60_000);
    const layout = pairLayout('interrupt');
    const child = spawn(process.execPath, [MAIN, ...words.split(' '), '--pair', layout.name], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const exited = once(child, 'exit');
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (BOOTS.test(line)) child.kill('SIGINT');
    });
    expect(await exited).to.deep.equal([EXIT.declined, null]);
    expect(await leftoversOf(layout)).to.deep.equal([]);
  });
}
