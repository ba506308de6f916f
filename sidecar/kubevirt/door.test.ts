// SPDX-License-Identifier: Apache-2.0
// The compiled door with its sanitizers, before a bundle whose loader only tells how it was called.
import { expect } from 'chai';
import fc from 'fast-check';
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, fstatSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { listenUnix } from '../../native/addon/index.js';
import { decodeRequest, encodeAnswer, serveDoor } from './door.js';
import type { StartAnswer, StartRequest } from './start.js';

const BUILT = new URL('../../native/', import.meta.url);
const DOOR = fileURLToPath(new URL('door/door-sanitized', BUILT));
const RELEASED = fileURLToPath(new URL('lockstep-door', BUILT));
const WITH_TAP = fileURLToPath(new URL('../../native/addon/test/with_tap', import.meta.url));
const CALLED = '/usr/bin/qemu-system-x86_64';
const LOADER = `#!/bin/sh
for word in "$@"; do echo "argument $word"; done
env | sed 's/^/variable /'
for fd in /proc/$$/fd/*; do echo "descriptor \${fd##*/}"; done
`;

interface Ran {
  readonly code: number | null;
  readonly lines: readonly string[];
  readonly words: string;
}

describe('the door', function () {
  this.timeout(20_000);
  let dir = '';
  let path = '';
  let close: () => void = () => undefined;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'lockstep-door-'));
    path = join(dir, 'door.sock');
    await mkdir(join(dir, 'bundle/lib'), { recursive: true });
    const loader = join(dir, 'bundle/lib/ld-linux-x86-64.so.2');
    await writeFile(loader, LOADER);
    await chmod(loader, 0o755);
  });

  afterEach(async () => {
    close();
    await rm(dir, { recursive: true, force: true });
  });

  const serve = async (onRequest: (request: StartRequest) => Promise<StartAnswer>, errors: string[] = []) => {
    const served = await serveDoor({ path, onRequest, onError: (error) => errors.push(error.message) });
    close = () => {
      served.close();
    };
  };

  /** Calls the door as libvirt calls QEMU; by way of `wrapper` if one is given. */
  function call(args: readonly string[], wrapper: readonly string[] = [], timeMs = 5_000): Promise<Ran> {
    const [file = '', ...rest] = [...wrapper, 'bash', '-c', 'exec -a "$0" "$@"', CALLED, DOOR, ...args];
    const env = {
      PATH: process.env['PATH'] ?? '',
      LOCKSTEP_BUNDLE: join(dir, 'bundle'),
      LOCKSTEP_DOOR: path,
      LOCKSTEP_DOOR_MS: String(timeMs),
      ASAN_OPTIONS: 'detect_leaks=0',
    };
    const child = spawn(file, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const said: Buffer[] = [];
    const complained: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => said.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => complained.push(chunk));
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => {
        const lines = Buffer.concat(said).toString().trim().split('\n');
        resolve({ code, lines, words: Buffer.concat(complained).toString().trim() });
      });
    });
  }

  const bundle = (name: string): string => join(dir, 'bundle', name);
  const argumentsOf = ({ lines }: Ran): string[] =>
    lines.filter((line) => line.startsWith('argument ')).map((line) => line.slice('argument '.length));

  for (const args of [
    ['-S', '-no-user-config', '-nodefaults', '-nographic', '-machine', 'none,accel=kvm:tcg', '-qmp', 'x'],
    ['-version'],
    ['--help'],
    ['-M', 'type=none'],
  ]) {
    it(`lets libvirt ask: ${args.join(' ')}`, async () => {
      const ran = await call(args);
      expect(ran.code, ran.words).to.equal(0);
      const lead = ['--argv0', CALLED, '--library-path', bundle('lib'), bundle('bin/qemu-system-x86_64')];
      expect(argumentsOf(ran)).to.deep.equal([...lead, ...args]);
    });
  }

  it('starts a guest as the sidecar says, with the shim, and under the name that KubeVirt looks for', async () => {
    const seen: StartRequest[] = [];
    await serve((request) => {
      seen.push(request);
      return Promise.resolve({ argv: ['-S', '-machine', 'q35'], env: { LOCKSTEP_RING: '/run/x' } });
    });
    const ran = await call(['-name', 'guest', '-machine', 'pc-q35-10.0,usb=off']);
    expect(ran.code, ran.words).to.equal(0);
    expect(argumentsOf(ran)).to.deep.equal([
      ...['--argv0', CALLED, '--library-path', bundle('lib'), '--preload', bundle('lockstep-shim.so')],
      ...[bundle('bin/qemu-system-x86_64'), '-S', '-machine', 'q35'],
    ]);
    expect(ran.lines).to.include('variable LOCKSTEP_RING=/run/x');
    expect(seen).to.have.length(1);
    expect(seen[0]?.argv).to.deep.equal([CALLED, '-name', 'guest', '-machine', 'pc-q35-10.0,usb=off']);
    expect(seen[0]?.env['LOCKSTEP_DOOR']).to.equal(path);
    expect(seen[0]?.tapFd).to.equal(null);
  });

  for (const netdev of ['{"type":"tap","fd":"33","id":"hostua-default"}', 'tap,fd=33,id=hostua-default']) {
    it(`hands libvirt's tap to the sidecar, and to nobody else: ${netdev}`, async () => {
      const taps: boolean[] = [];
      await serve(({ tapFd }) => {
        taps.push(tapFd !== null && fstatSync(tapFd).isCharacterDevice());
        return Promise.resolve({ argv: [], env: {} });
      });
      const inNamespace = ['unshare', '--net', WITH_TAP, 'tap0', '33'];
      const ran = await call(['-netdev', netdev], inNamespace);
      expect(ran.code, ran.words).to.equal(0);
      expect(taps).to.deep.equal([true]);
      expect(ran.lines).to.not.include('descriptor 33');
    });
  }

  it('says why not, in the sidecar’s words, and starts nothing', async () => {
    await serve(() => Promise.resolve({ refused: 'two processors: use one' }));
    const ran = await call(['-smp', '2']);
    expect(ran.code).to.equal(1);
    expect(ran.words).to.equal('lockstep: the VM is not started: two processors: use one');
    expect(ran.lines).to.deep.equal(['']);
  });

  it('takes a sidecar that fails for one that refuses', async () => {
    await serve(() => Promise.reject(new Error('the peer has no machine')));
    expect((await call(['-S'])).words).to.include('the peer has no machine');
  });

  it('starts nothing without a sidecar, after a bounded time', async () => {
    const ran = await call(['-S'], [], 200);
    expect(ran.code).to.equal(1);
    expect(ran.words).to.include('no sidecar has opened its socket in time');
  });

  for (const words of ['-version', '--help', '-machine']) {
    it(`takes no guest for a question, whatever its kernel is told: ${words}`, async () => {
      const ran = await call(['-machine', 'q35', '-append', words, '-device', 'none'], [], 200);
      expect(ran.code).to.equal(1);
      expect(ran.words).to.include('no sidecar');
    });
  }

  it('starts nothing before a sidecar that hangs, after a bounded time, however many wait', async () => {
    const listener = listenUnix(path); // a queue of two
    close = () => {
      closeSync(listener);
    };
    const all = await Promise.all(['-S', '-S', '-S', '-S'].map((word) => call([word], [], 500)));
    expect(all.map(({ code }) => code)).to.deep.equal([1, 1, 1, 1]);
    for (const { words } of all) expect(words).to.match(/in time$/);
  });

  it('waits for a sidecar that is still starting', async () => {
    const running = call(['-S']);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await serve(() => Promise.resolve({ argv: ['-S'], env: {} }));
    expect((await running).code).to.equal(0);
  });

  it('says of taps that are not there that they are not', async () => {
    await serve(() => Promise.resolve({ argv: [], env: {} }));
    const ran = await call(['-netdev', 'tap,fd=77,id=x']);
    expect(ran.code).to.equal(1);
    expect(ran.words).to.include('a tap that libvirt names is not open');
  });

  it('goes on after an answer that cannot be sent, and after somebody who is no door', async () => {
    const errors: string[] = [];
    const answers = [['a\0b'], Array<string>(5_000).fill('-S'), ['-S']];
    await serve(() => Promise.resolve({ argv: answers.shift() ?? [], env: {} }), errors);
    expect((await call(['-S'])).words).to.include('NUL');
    expect((await call(['-S'])).words).to.include('too long for the door');
    for (const bytes of [Buffer.of(255, 255, 255, 255), Buffer.of(0, 0)]) {
      const stranger = connect(path, () => stranger.end(bytes));
      stranger.on('error', () => undefined);
    }
    expect((await call(['-S'])).code).to.equal(0);
    expect(errors).to.have.members([
      'the door says too much',
      'the door went away in the middle of its question',
    ]);
  });

  it('asks one after the other', async () => {
    let under = 0;
    let most = 0;
    await serve(async () => {
      most = Math.max(most, ++under);
      await new Promise((resolve) => setTimeout(resolve, 50));
      under -= 1;
      return { argv: [], env: {} };
    });
    const all = await Promise.all([call(['-S']), call(['-S']), call(['-S'])]);
    expect(all.map(({ code }) => code)).to.deep.equal([0, 0, 0]);
    expect(most).to.equal(1);
  });

  describe('before a sidecar that is none', () => {
    let server: Server;

    const answering = (bytes: Buffer): Promise<void> =>
      new Promise((resolve) => {
        server = createServer((socket) => {
          socket.on('error', () => undefined);
          socket.once('data', () => socket.end(bytes));
        });
        server.listen(path, resolve);
        close = () => {
          server.close();
        };
      });

    const WRONG: readonly (readonly [string, Buffer])[] = [
      ['nothing', Buffer.alloc(0)],
      ['half a length', Buffer.of(0, 0)],
      ['a length without what follows', Buffer.of(0, 0, 0, 9, 0)],
      ['far too long a length', Buffer.of(255, 255, 255, 255)],
      ['an answer of no kind', Buffer.of(0, 0, 0, 4, 0, 0, 0, 7)],
      ['more strings than there are', Buffer.of(0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0)],
      ['very many strings', Buffer.of(0, 0, 0, 12, 0, 0, 0, 0, 127, 255, 255, 255, 0, 0, 0, 0)],
      ['a refusal without a sentence', Buffer.of(0, 0, 0, 4, 0, 0, 0, 1)],
      ['a string without an end', Buffer.of(0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 65)],
      ['something behind the end', Buffer.concat([Buffer.of(0, 0, 0, 13), Buffer.alloc(12), Buffer.of(1)])],
    ];
    for (const [what, bytes] of WRONG) {
      it(`starts nothing on ${what}`, async () => {
        await answering(bytes);
        const ran = await call(['-S'], [], 1_000);
        expect(ran.code, ran.words).to.equal(1);
        expect(ran.words).to.match(/^lockstep: the VM is not started: .+/);
        expect(ran.words).to.not.include('Sanitizer');
      });
    }
  });

  it('is built without libraries of the image that it stands in', async () => {
    expect(execFileSync('readelf', ['-d', RELEASED]).toString()).to.include('no dynamic section');
    expect((await readFile(RELEASED)).length).to.be.lessThan(1024 * 1024);
  });
});

describe('the door’s wire', () => {
  const u32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const request = (argv: readonly string[], env: readonly string[], fds: readonly number[]): Buffer =>
    Buffer.concat([
      ...[1, argv.length, env.length, fds.length].map(u32),
      Buffer.from([...argv, ...env].map((one) => `${one}\0`).join('')),
      ...fds.map(u32),
    ]);
  const string = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0'));
  const parts = fc.tuple(fc.array(string), fc.array(string), fc.array(fc.nat(1023), { maxLength: 16 }));

  it('carries every command line', () => {
    fc.assert(
      fc.property(parts, ([argv, names, fds]) => {
        const read = decodeRequest(
          request(
            argv,
            names.map((name) => `X${name.replaceAll('=', '')}=${name}`),
            fds,
          ),
        );
        expect(read.argv).to.deep.equal(argv);
        expect(Object.values(read.env)).to.have.members([...new Set(names)]);
        expect(read.fds).to.deep.equal(fds);
      }),
    );
  });

  it('refuses what no door sends, wherever it is wrong', () => {
    const change = fc.record({ at: fc.nat(), byte: fc.nat(255), keep: fc.nat() });
    fc.assert(
      fc.property(parts, change, ([argv, env, fds], { at, byte, keep }) => {
        const bytes = request(argv, env, fds);
        bytes[at % bytes.length] = byte;
        for (const body of [bytes, bytes.subarray(0, keep % bytes.length)]) {
          try {
            const read = decodeRequest(body);
            expect(read.fds.length).to.be.at.most(16);
          } catch (error) {
            expect(error).to.have.property('code', 'LOCKSTEP_DOOR');
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('does not cut an argument at a NUL', () => {
    expect(() => encodeAnswer({ argv: ['a\0b'], env: {} })).to.throw('NUL');
  });
});
