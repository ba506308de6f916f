// SPDX-License-Identifier: Apache-2.0
// The whole process, on the loopback interface, without QEMU: its beginning, its refusals and its ends.
import { expect } from 'chai';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { epitaphSchema, type Epitaph, type VmiStatus } from '../observe/status-schema.js';
import { recorded } from './argv/test/recorded.js';
import { SidecarClient } from './client.js';
import { PORTS } from './config.js';
import { makeKeys, VM, writeSecret, type Keys } from './test/pki.js';

const MAIN = resolve(import.meta.dirname, 'main.js');
const DOOR = resolve(import.meta.dirname, '../../native/lockstep-door');
/** Of its own on the loopback network: the ports are fixed. */
const POD_IP = '127.77.0.7';
const START_MS_MAX = 30_000;
/** A second or two, and what a busy machine adds. */
const END_MS_MAX = 5_000;
const EXIT = { orderly: 0, failed: 1, usage: 2 } as const;

const SETTINGS = {
  vm: VM,
  vmi: 'db1-77aa',
  namespace: 'shop',
  start: { role: 'primary', coldStart: { kind: 'found' } },
  cpuModel: 'EPYC',
  mac: null,
  store: { host: '127.77.0.8', port: 6379 },
};

let keys: Keys;
let dir: string;
let child: ChildProcess | null = null;

const terminationLog = (): string => join(dir, 'termination-log');
const epitaph = (): Epitaph => epitaphSchema.parse(JSON.parse(readFileSync(terminationLog(), 'utf8')));

function start(environment: Record<string, string> = {}): ChildProcess {
  const options = ['--settings', dir, '--run', dir, '--termination-log', terminationLog()];
  child = spawn(process.execPath, [MAIN, ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], POD_IP, NODE_NAME: 'worker', ...environment },
  });
  return child;
}

/** Its exit code. */
async function ended(sidecar: ChildProcess, msMax = END_MS_MAX): Promise<number> {
  const [code] = (await once(sidecar, 'exit', { signal: AbortSignal.timeout(msMax) })) as [number];
  return code;
}

/** Started, and its door is open: that is the last thing it does. */
async function startedWhole(): Promise<ChildProcess> {
  const sidecar = start();
  let said = '';
  for await (const chunk of sidecar.stdout ?? []) {
    said += String(chunk);
    if (said.includes('waiting for libvirt')) return sidecar;
  }
  throw new Error(`it ended: ${said}`);
}

const operator = (): SidecarClient =>
  new SidecarClient({ host: POD_IP, port: PORTS.api, vm: VM, tls: () => keys.operator });

/** libvirt starts QEMU; what is said of it on stderr. */
function startQemu(argv: readonly string[]): string {
  const [program = '', ...rest] = argv;
  const { stderr, status } = spawnSync(DOOR, rest, {
    argv0: program,
    encoding: 'utf8',
    timeout: START_MS_MAX,
    env: { LOCKSTEP_DOOR: join(dir, 'door.sock'), LOCKSTEP_BUNDLE: '/none' },
  });
  expect(status).to.equal(1);
  return stderr;
}

/** libvirt's command line without a tap: nobody has opened one here. */
const withoutTap = (change: (word: string) => string = (word) => word): string[] =>
  recorded('kubevirt-1.7.0').map((word) => change(word).replace('"fd":"21",', ''));

describe('the process of a sidecar in a launcher pod', function () {
  this.timeout(START_MS_MAX + END_MS_MAX);
  before(async () => {
    keys = await makeKeys();
  });
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'lockstep-main-'));
    writeSecret(dir, keys.side);
    writeFileSync(join(dir, 'sidecar.json'), JSON.stringify(SETTINGS));
  });
  afterEach(() => {
    child?.kill('SIGKILL');
    child = null;
    rmSync(dir, { recursive: true });
  });

  it('answers the operator before anything runs, and leaves at SIGTERM within a second or two', async () => {
    const sidecar = await startedWhole();
    const status = await operator().status();
    expect(status).to.include({ stage: 'waiting', vmi: 'db1-77aa', host: 'worker', nonce: null });
    const metrics = await fetch(`http://${POD_IP}:${PORTS.metrics}/healthz`);
    expect(await metrics.text()).to.equal('ok\n');
    const exit = ended(sidecar);
    sidecar.kill('SIGTERM');
    expect(await exit).to.equal(EXIT.failed);
    expect(epitaph()).to.include({ reason: 'neverRan', nonce: null });
  });

  it('told to stop before anything runs: tells those who watch, and ends in order', async () => {
    const sidecar = await startedWhole();
    const seen: VmiStatus[] = [];
    const watching = operator().watch((status) => seen.push(status), new AbortController().signal);
    watching.catch(() => undefined); // it ends with the process
    const exit = ended(sidecar);
    await operator().command('stop');
    expect(await exit).to.equal(EXIT.orderly);
    expect(epitaph()).to.include({ reason: 'userAction' });
    await watching.catch(() => undefined);
    expect(seen.at(-1)).to.include({ stage: 'ended', role: 'ended' });
  });

  it('refuses what cannot work in the words that QEMU then says, and shows them', async () => {
    await startedWhole();
    const twoCpus = withoutTap((word) => word.replace('1,maxcpus=4', '2,maxcpus=4'));
    expect(startQemu(twoCpus)).to.match(/the VM is not started: .*domain\.cpu\.cores/);
    expect((await operator().status()).trouble).to.include({ reason: 'cpus' });
    expect(startQemu(withoutTap())).to.match(/not started: .*interface/);
    const { trouble, stage } = await operator().status();
    expect(trouble?.reason).to.equal('interfaces');
    expect(stage).to.equal('waiting');
  });

  it('with settings that cannot be used says which, and where the kubelet keeps it', async () => {
    const rows: [() => void, Record<string, string>, RegExp][] = [
      [() => undefined, { POD_IP: '' }, /POD_IP/],
      [() => writeFileSync(join(dir, 'sidecar.json'), '{}'), {}, /vm: /],
      [() => writeSecret(dir, keys.expired), {}, /ended at/],
    ];
    for (const [spoil, environment, words] of rows) {
      spoil();
      const sidecar = start(environment);
      expect(await ended(sidecar, START_MS_MAX)).to.equal(EXIT.usage);
      expect(epitaph().reason).to.equal('settingsUnusable');
      expect(epitaph().detail).to.match(words);
      writeFileSync(join(dir, 'sidecar.json'), JSON.stringify(SETTINGS));
    }
  });
});
