// SPDX-License-Identifier: Apache-2.0
// Ctrl-C while a VM is brought up, also a second one while that is cleared away: nothing is left. Meanwhile the pair is in
// the hands of the one who makes it.
import { expect } from 'chai';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { EXIT } from '../../cli/exit-codes.js';
import { pairLayout, REPO } from '../../cli/local/layout.js';
import { leftoversOf } from './support/leftovers.js';

const MAIN = join(REPO, 'build/cli/main.js');
const BOOTS = /starting the VM/;
const CLEARS = /interrupted: clearing away/;

/** The verb, as a terminal runs it: in a process group of its own, in front. */
function start(words: string, pair: string): ChildProcessByStdio<null, null, Readable> {
  return spawn(process.execPath, [MAIN, ...words.split(' '), '--pair', pair], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

for (const words of ['up --machine small', 'demo']) {
  it(`lockstep ${words}: Ctrl-C while the VM boots, and again, leaves nothing`, async function () {
    this.timeout(60_000);
    const layout = pairLayout('interrupt');
    const child = start(words, layout.name);
    const exited = once(child, 'exit');
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (BOOTS.test(line) || CLEARS.test(line)) process.kill(-(child.pid ?? 0), 'SIGINT');
    });
    expect(await exited).to.deep.equal([EXIT.declined, null]);
    expect(await leftoversOf(layout)).to.deep.equal([]);
  });
}

it('a second up and a demo of the same name are kept out, and say by whom', async function () {
  this.timeout(60_000);
  const layout = pairLayout('interrupt');
  const first = start('up --machine small', layout.name);
  const exited = once(first, 'exit');
  for await (const line of createInterface({ input: first.stderr })) if (BOOTS.test(line)) break;
  first.stderr.resume();
  for (const words of ['up --machine small', 'demo']) {
    const second = start(words, layout.name);
    let said = '';
    second.stderr.on('data', (text) => (said += String(text)));
    expect(await once(second, 'close')).to.deep.equal([EXIT.state, null]);
    expect(said).to.equal(
      `lockstep: pair '${layout.name}' is in the hands of 'lockstep up', process ${first.pid ?? 0}.\n` +
        'Wait until it is done, or end it (Ctrl-C).\n',
    );
  }
  first.kill('SIGINT');
  expect(await exited).to.deep.equal([EXIT.declined, null]);
  expect(await leftoversOf(layout)).to.deep.equal([]);
});
