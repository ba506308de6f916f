// SPDX-License-Identifier: Apache-2.0
// Needs root: makes a network namespace of its own, and everything in it goes with the namespace.
import { expect } from 'chai';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Tap } from './index.js';
import { codeOf, Condition } from './test/fake-shim.js';
import type { TapCommand, TapReport } from './test/tap-commands.js';
import { internetChecksum } from './test/tap-peer.js';

const PROGRAM = fileURLToPath(new URL('./test/tap-program.js', import.meta.url));
const WITH_TAP = fileURLToPath(new URL('./test/with_tap', import.meta.url));
const INHERITED_FD = 33;
const NAMESPACE = `lockstep-tap-${process.pid}`;

/** Not `ip netns exec`, which wants to change mounts too. */
const ENTER = [`--net=/run/netns/${NAMESPACE}`, '--'];

function inside(...words: string[]): string {
  return execFileSync('nsenter', [...ENTER, ...words], { timeout: 20_000 }).toString();
}

function ip(...words: string[]): string {
  return inside('ip', ...words);
}

/** UDP datagrams from the kernel in the namespace to the peer that is not there. */
function sendDatagrams(count: number): void {
  inside('bash', '-c', `for i in $(seq ${count}); do echo -n "datagram $i" >/dev/udp/10.99.0.2/9; done`);
}

class TapProcess {
  readonly #child: ChildProcess;
  readonly #answers: ((report: TapReport) => void)[] = [];
  readonly #happened = new Condition();
  frames = 0;
  readonly errors: string[] = [];

  constructor(wrapper: readonly string[] = []) {
    const command = [...ENTER, ...wrapper, process.execPath, PROGRAM];
    this.#child = spawn('nsenter', command, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child.on('message', (report: TapReport) => {
      this.#hear(report);
    });
  }

  #hear(report: TapReport): void {
    if (report.event === 'frames') this.frames += report.count;
    else if (report.event === 'error') this.errors.push(report.code);
    else this.#answers.shift()?.(report);
    this.#happened.changed();
  }

  async tell(command: TapCommand): Promise<unknown> {
    const answer = new Promise<TapReport>((resolve) => this.#answers.push(resolve));
    this.#child.send(command);
    const report = await answer;
    return report.event === 'done' ? report.result : report.event === 'failed' ? report.code : null;
  }

  async until(check: (self: this) => boolean): Promise<void> {
    await this.#happened.until(() => check(this));
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}

describe('tap', function () {
  this.timeout(30_000);
  const processes: TapProcess[] = [];

  function start(wrapper: readonly string[] = []): TapProcess {
    const started = new TapProcess(wrapper);
    processes.push(started);
    return started;
  }

  /** A tap that is up, has an address and a peer that is known by its MAC. */
  async function startUp(): Promise<TapProcess> {
    const program = start();
    expect(await program.tell({ verb: 'open', name: 'ft0', mtu: null })).to.equal('ft0');
    bringUp();
    return program;
  }

  function bringUp(): void {
    inside('sysctl', '-qw', 'net.ipv6.conf.ft0.disable_ipv6=1');
    ip('addr', 'add', '10.99.0.1/24', 'dev', 'ft0');
    ip('link', 'set', 'ft0', 'up');
    ip('neigh', 'add', '10.99.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'ft0');
  }

  before(() => {
    execFileSync('ip', ['netns', 'add', NAMESPACE]);
    ip('link', 'set', 'lo', 'up');
  });

  after(() => {
    execFileSync('ip', ['netns', 'delete', NAMESPACE]);
  });

  afterEach(async () => {
    for (const program of processes.splice(0)) await program.end();
  });

  it('reads what the kernel sends and writes what it believes: ping answered from JavaScript', async () => {
    const program = await startUp();
    ip('neigh', 'del', '10.99.0.2', 'dev', 'ft0');
    await program.tell({ verb: 'respond', on: true });
    await program.tell({ verb: 'start' });
    const output = await pingAsync(20);
    expect(output).to.match(/20 packets transmitted, 20 received/);
    await program.until((self) => self.frames >= 21); // the requests, and the question for the address
  });

  it('takes a tap of libvirt, whose frames have a header of their own, without anybody seeing a difference', async () => {
    const program = start([WITH_TAP, 'ft0', String(INHERITED_FD)]);
    expect(await program.tell({ verb: 'adopt-inherited', fd: INHERITED_FD })).to.equal('ft0');
    bringUp();
    ip('neigh', 'del', '10.99.0.2', 'dev', 'ft0');
    await program.tell({ verb: 'respond', on: true });
    await program.tell({ verb: 'start' });
    expect(await pingAsync(20)).to.match(/20 packets transmitted, 20 received/);
    await program.tell({ verb: 'take' });
    sendDatagrams(1);
    await program.until((self) => self.frames >= 22);
    const taken = (await program.tell({ verb: 'take' })) as string[];
    expect(taken.map((hex) => Buffer.from(hex, 'hex').subarray(42).toString())).to.include('datagram 1');
  });

  it('gets frames with their checksum done: no offload is left on', async () => {
    const program = await startUp();
    await program.tell({ verb: 'start' });
    sendDatagrams(1);
    await program.until((self) => self.frames === 1);
    const [hex] = (await program.tell({ verb: 'take' })) as string[];
    const packet = Buffer.from(hex ?? '', 'hex').subarray(14);
    const datagram = packet.subarray(20);
    const pseudoHeader = Buffer.concat([packet.subarray(12, 20), Buffer.of(0, 17, 0, datagram.length)]);
    expect(datagram.subarray(8).toString()).to.equal('datagram 1');
    expect(datagram.readUInt16BE(6)).to.not.equal(0);
    expect(internetChecksum(pseudoHeader, datagram)).to.equal(0);
  });

  it('delivers nothing while paused and everything, in order, after', async () => {
    const program = await startUp();
    await program.tell({ verb: 'start' });
    await program.tell({ verb: 'pause' });
    sendDatagrams(300);
    expect(await program.tell({ verb: 'take' })).to.deep.equal([]);
    await program.tell({ verb: 'resume' });
    await program.until((self) => self.frames === 300);
    const texts = ((await program.tell({ verb: 'take' })) as string[]).map((hex) =>
      Buffer.from(hex, 'hex').subarray(42).toString(),
    );
    expect(texts).to.deep.equal(Array.from({ length: 300 }, (_, i) => `datagram ${i + 1}`));
  });

  it('sets the MTU when asked', async () => {
    const program = start();
    await program.tell({ verb: 'open', name: 'ft1', mtu: 1400 });
    expect(ip('link', 'show', 'dev', 'ft1')).to.include(' mtu 1400 ');
  });

  it('says what is wrong: busy, down, gone, closed, started twice, not a tap', async () => {
    const program = await startUp();
    expect(await program.tell({ verb: 'open-another', name: 'ft0' })).to.equal('TAP_BUSY');
    expect(await program.tell({ verb: 'open-another', name: 'lo' })).to.equal('TAP_REFUSED');
    expect(await program.tell({ verb: 'adopt', path: '/dev/null' })).to.equal('TAP_REFUSED');
    expect(await program.tell({ verb: 'adopt', path: '/dev/net/tun' })).to.equal('TAP_REFUSED');
    await program.tell({ verb: 'start' });
    expect(await program.tell({ verb: 'start' })).to.equal('TAP_STARTED');
    const frame = '00'.repeat(14);
    ip('link', 'set', 'ft0', 'down');
    expect(await program.tell({ verb: 'write', hex: frame })).to.equal('TAP_DOWN');
    ip('link', 'set', 'ft0', 'up');
    expect(await program.tell({ verb: 'write', hex: frame })).to.equal(true);
    expect(program.errors).to.deep.equal([]);
    ip('link', 'delete', 'ft0');
    await program.until((self) => self.errors.length > 0);
    expect(program.errors).to.deep.equal(['TAP_GONE']);
    expect(await program.tell({ verb: 'write', hex: frame })).to.equal('TAP_GONE');
    await program.tell({ verb: 'close' });
    expect(await program.tell({ verb: 'close' })).to.equal(null);
    for (const verb of ['pause', 'resume', 'start'] as const)
      expect(await program.tell({ verb })).to.equal('TAP_CLOSED');
    expect(await program.tell({ verb: 'write', hex: frame })).to.equal('TAP_CLOSED');
    expect(program.errors).to.deep.equal(['TAP_GONE']);
  });

  it('says TAP_NOT_PERMITTED without CAP_NET_ADMIN', async () => {
    const program = start(['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-net_admin']);
    expect(await program.tell({ verb: 'open', name: 'ft2', mtu: null })).to.equal('TAP_NOT_PERMITTED');
  });

  it('leaves neither descriptors nor threads behind', async () => {
    const program = start();
    const few = await program.tell({ verb: 'cycle', times: 5 });
    expect(await program.tell({ verb: 'cycle', times: 100 })).to.equal(few);
  });

  it('refuses nonsense before the kernel sees it', () => {
    for (const name of ['', 'a'.repeat(16), 'a b', 'a/b', 'tap%d', 'a:b'])
      expect(codeOf(() => Tap.open(name, { mtu: null }))).to.equal('INVALID_ARGUMENT');
    for (const mtu of [0, 67, 65536, 1.5])
      expect(codeOf(() => Tap.open('ft9', { mtu }))).to.equal('INVALID_ARGUMENT');
    expect(codeOf(() => Tap.adopt(-1))).to.equal('INVALID_ARGUMENT');
  });

  /** The peer answers from another process, so this one may not block. */
  async function pingAsync(count: number): Promise<string> {
    const words = ['ping', '-c', String(count), '-i', '0.01', '-W', '5', '10.99.0.2'];
    const ping = spawn('nsenter', [...ENTER, ...words]);
    const chunks: Buffer[] = [];
    for (const output of [ping.stdout, ping.stderr]) output.on('data', (chunk: Buffer) => chunks.push(chunk));
    await once(ping, 'close');
    return Buffer.concat(chunks).toString();
  }
});
