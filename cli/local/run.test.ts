// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LocalError } from './errors.js';
import { run, type RunOptions } from './run.js';

const RUN = join(import.meta.dirname, 'run.js');

const failure = (script: string, options?: RunOptions): Promise<LocalError> =>
  run('sh', ['-c', script], options).then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as LocalError,
  );

describe('a program that is run', () => {
  it('is given its input, and gives its output', async () => {
    expect(await run('tr', ['a-z', 'A-Z'], { input: 'grüße\n' })).to.equal('GRüßE\n');
  });

  it('fails with its own words, or with how it ended', async () => {
    expect(await failure('echo out; echo why >&2; exit 3')).to.include({
      code: 'COMMAND_FAILED',
      message: 'sh -c echo out; echo why >&2; exit 3: why',
    });
    expect((await failure('exit 3')).message).to.match(/: ended by exit code 3$/);
    expect((await failure('kill -TERM $$')).message).to.match(/: ended by SIGTERM$/);
    const missing = await run('/no/such/program', []).catch((error: unknown) => error);
    expect(missing)
      .to.be.an('error')
      .with.property('message')
      .that.matches(/ENOENT/);
  });

  it('may not read, say too much, or stay for ever', async () => {
    expect(await run('true', [], { input: 'x'.repeat(1 << 20) })).to.equal('');
    expect((await failure('exec yes', { outputBytesMax: 1000 })).message).to.match(/more than 1000 bytes/);
    expect((await failure('exec sleep 60', { timeoutMs: 50 })).message).to.match(/not end within 50 ms/);
  });

  it('does not hear the Ctrl-C that the verb hears', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'lockstep-run-'));
    const fifo = join(dir, 'fifo');
    await run('mkfifo', [fifo]);
    const code = `process.on('SIGINT', () => undefined);
      import(${JSON.stringify(RUN)}).then(async ({ run }) => {
        process.stdout.write(await run('sh', ['-c', 'read word < "$0"; echo "$word"', ${JSON.stringify(fifo)}]));
      });`;
    const verb = spawn(process.execPath, ['-e', code], {
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    verb.stdout.on('data', (text) => (said += String(text)));
    try {
      const writer = await open(fifo, 'w'); // waits until the program reads
      for (let presses = 0; presses < 2; presses++) process.kill(-(verb.pid ?? 0), 'SIGINT'); // as a terminal does it
      await writer.write('whole\n');
      await writer.close();
      await once(verb, 'close');
      expect(said).to.equal('whole\n');
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
