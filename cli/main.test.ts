// SPDX-License-Identifier: Apache-2.0
// What the program answers to nonsense: a sentence, and an exit code that scripts can tell apart.
import { expect } from 'chai';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT, endingOf } from './exit-codes.js';
import { LocalError } from './local/errors.js';

const MAIN = join(import.meta.dirname, 'main.js');

/** A log of so many events, as QEMU leaves it when it is killed. */
async function withLog(events: number, use: (file: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-main-'));
  try {
    const file = join(folder, 'log');
    writeFileSync(file, Buffer.concat([Buffer.alloc(12), Buffer.alloc(events, 1)]));
    await use(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function lockstep(...args: string[]): Promise<Said> {
  return new Promise((done) => {
    execFile(process.execPath, [MAIN, ...args], (error, out, err) => {
      done({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

/** [arguments, exit code, what the sentence has]. */
const NONSENSE: readonly (readonly [string, number, RegExp])[] = [
  ['fly', EXIT.usage, /unknown command 'fly'/],
  ['up --hosts 1', EXIT.usage, /whole number from 2 to 4/],
  ['up --hosts two', EXIT.usage, /whole number/],
  ['up --memory 16', EXIT.usage, /whole number from 128/],
  ['up --machine pdp11', EXIT.usage, /Allowed choices are kubevirt, small/],
  ['up --pair Upper', EXIT.usage, /no name for a pair/],
  ['up --pair nobody --kernel /nowhere', EXIT.usage, /no file \/nowhere/],
  ['up --pair nobody --kernel /etc', EXIT.usage, /no file \/etc/],
  ['up --pair nobody --kernel ../../nowhere', EXIT.usage, /no file \/[^.]*nowhere\.\n/],
  ['up --pair nobody --qemu /bin/true', EXIT.unable, /QEMU/],
  ['up --pair nobody --memory 65536', EXIT.unable, /memory: \d+ MiB free. Free some, or give the VM less/],
  ['up --pair nobody --cpu host', EXIT.usage, /another processor on each machine/],
  ['down --pair ..', EXIT.usage, /'\.\.' is no name for a pair/],
  ['up surplus', EXIT.usage, /too many arguments/],
  ['protect --pair nobody', EXIT.state, /no pair 'nobody'[^]*lockstep up/],
  ['protect --timeout -1', EXIT.usage, /number above 0/],
  ['protect --timeout soon', EXIT.usage, /number above 0/],
  ['status --pair nobody', EXIT.state, /no pair 'nobody'/],
  ['status -o xml', EXIT.usage, /Allowed choices are text, json/],
  ['test-failover --pair nobody', EXIT.state, /no pair/],
  ['reset --pair nobody', EXIT.state, /no pair/],
  ['kill-host', EXIT.usage, /missing required argument 'host'/],
  ['kill-host a --pair nobody', EXIT.state, /no pair/],
  ['start-host a --pair nobody', EXIT.state, /no pair/],
  ['cold-start a --pair nobody', EXIT.state, /no pair/],
  ['down --pair nobody', EXIT.state, /no pair/],
  ['down --pair ../../etc', EXIT.usage, /no name for a pair/],
  ['log dump', EXIT.usage, /missing required argument 'log'/],
  ['log dump /nowhere', EXIT.failed, /nowhere/],
  ['log dump /etc/hostname', EXIT.failed, /neither a ring nor a log/],
  ['log dump /etc/hostname --from -3', EXIT.usage, /whole number/],
  ['demo --pause x', EXIT.usage, /whole number/],
];

describe('lockstep', function () {
  this.timeout(20_000);

  for (const [line, code, sentence] of NONSENSE) {
    it(`refuses '${line}'`, async () => {
      const said = await lockstep(...line.split(' '));
      expect(said.err).to.match(sentence);
      expect(said.code).to.equal(code);
      expect(said.out).to.equal('');
    });
  }

  for (const line of ['--help', 'check', 'check -o json', 'log dump LOG', 'log summary LOG']) {
    it(`says in a sentence that what '${line}' has to say finds no room`, async () => {
      await withLog(100, async (log) => {
        const full = openSync('/dev/full', 'w');
        try {
          const args = line.split(' ').map((word) => (word === 'LOG' ? log : word));
          const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', full, 'pipe'] });
          let err = '';
          child.stderr?.on('data', (text) => (err += String(text)));
          const [code] = (await once(child, 'close')) as [number];
          expect(err).to.match(
            /^lockstep: standard output cannot be written: no space left .*\(ENOSPC\)\.\n/,
          );
          expect(err).not.to.match(/^ +at /m);
          expect(code).to.equal(EXIT.failed);
        } finally {
          closeSync(full);
        }
      });
    });
  }

  it('stops when nobody reads a dump any more, long before the log ends', async () => {
    const events = 5_000_000;
    await withLog(events, async (log) => {
      const child = spawn(process.execPath, [MAIN, 'log', 'dump', log], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let err = '';
      child.stderr.on('data', (text) => (err += String(text)));
      await once(child.stdout, 'data');
      child.stdout.destroy();
      const [code] = (await once(child, 'close')) as [number];
      expect([code, err]).to.deep.equal([EXIT.ok, '']);
    });
  });

  it('tells its verbs and exit codes', async () => {
    const said = await lockstep('--help');
    expect(said.code).to.equal(EXIT.ok);
    for (const verb of [
      'up',
      'protect',
      'status',
      'test-failover',
      'reset',
      'kill-host',
      'log',
      'down',
      'check',
      'demo',
    ]) {
      expect(said.out).to.match(new RegExp(`^  ${verb}\\b`, 'm'));
    }
    expect(said.out).to.include('Exit codes:');
  });

  it('checks the machine for programs too', async () => {
    const said = await lockstep('check', '-o', 'json');
    const report: unknown = JSON.parse(said.out);
    expect(report).to.have.property('able').that.is.a('boolean');
    expect(report).to.have.property('findings').that.is.an('array');
    expect(said.code).to.be.oneOf([EXIT.ok, EXIT.unable]);
  });
});

describe("a failure's end", () => {
  it('has a sentence, and its cure below', () => {
    const { words } = endingOf(new LocalError('NO_PAIR', 'there is no pair', 'Bring one up.'));
    expect(words).to.equal('there is no pair.\nBring one up.');
  });

  it('is plain for what nobody foresaw', () => {
    expect(endingOf(new Error('boom'))).to.deep.equal({ exitCode: EXIT.failed, words: 'boom' });
  });
});
