// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { connect } from 'node:tls';
import type { ChannelTls } from '../io/channel/tls.js';
import type { VmiStatus } from '../observe/status-schema.js';
import { Api, BODY_BYTES_MAX, CONNECTIONS_MAX, type ApiSubject } from './api.js';
import { CallError, COMMANDS, SidecarClient, type Command } from './client.js';
import type { Machine } from './machine.js';
import { makeKeys, VM, type Keys } from './test/pki.js';
import { UNREAD_BYTES_MAX, WATCHERS_MAX } from './watchers.js';

const HOST = '127.0.0.1';
const MACHINE: Machine = { argv: ['/usr/bin/qemu-system-x86_64', '-S'], cpuModel: 'EPYC', mac: null };

let keys: Keys;

/** Once for both. */
const makeKeysOnce = async (): Promise<void> => {
  made ??= makeKeys();
  keys = await made;
};
let made: Promise<Keys> | undefined;

class Subject implements ApiSubject {
  epoch = 1;
  ready = true;
  padding = '';
  readonly commands: Command[] = [];

  status(): VmiStatus {
    return {
      role: 'primary',
      phase: 'alone',
      epoch: this.epoch,
      nonce: null,
      peer: null,
      protection: { word: 'Not Protected', state: 'Starting', reason: 'initializing' },
      lease: null,
      numbers: null,
      vm: VM,
      vmi: 'db1-77aa',
      host: 'worker',
      stage: 'waiting',
      trouble: null,
      certificate: { notAfter: '2030-01-01T00:00:00.000Z', trouble: null },
      padding: this.padding,
    };
  }

  machine(): Machine | null {
    return this.ready ? MACHINE : null;
  }

  command(command: Command): string | null {
    if (!this.ready) return 'not yet';
    this.commands.push(command);
    return null;
  }
}

interface Served {
  readonly api: Api;
  readonly subject: Subject;
  readonly refused: string[];
  readonly client: (tls: ChannelTls, vm?: string) => SidecarClient;
}

async function withApi(use: (served: Served) => Promise<void>): Promise<void> {
  const subject = new Subject();
  const refused: string[] = [];
  const api = await Api.serve({
    host: HOST,
    port: 0,
    vm: VM,
    tls: keys.side,
    subject,
    onRefused: (reason) => refused.push(reason),
  });
  const client = (tls: ChannelTls, vm = VM): SidecarClient =>
    new SidecarClient({ host: HOST, port: api.port, vm, tls: () => tls });
  try {
    await use({ api, subject, refused, client });
  } finally {
    await api.close();
  }
}

async function failure(call: Promise<unknown>): Promise<CallError> {
  const error = await call.then(
    () => new Error('was answered'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof CallError)) throw error as Error;
  return error;
}

/** Statuses as they come; `next` waits for one. */
class Watching {
  readonly abort = new AbortController();
  readonly over: Promise<void>;
  private readonly here: VmiStatus[] = [];
  private wake: () => void = () => undefined;

  constructor(client: SidecarClient) {
    this.over = client.watch((status) => {
      this.here.push(status);
      this.wake();
    }, this.abort.signal);
    this.over.catch(() => undefined); // looked at by who awaits it
  }

  async next(when: (status: VmiStatus) => boolean = () => true): Promise<VmiStatus> {
    for (;;) {
      const status = this.here.shift();
      if (status !== undefined && when(status)) return status;
      if (status !== undefined) continue;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}

describe('the API of a sidecar in a launcher pod', function () {
  this.timeout(15_000);
  before(makeKeysOnce);

  it('answers the operator everything', () =>
    withApi(async ({ subject, client }) => {
      const operator = client(keys.operator);
      expect((await operator.status()).vmi).to.equal('db1-77aa');
      expect(await operator.machine()).to.deep.equal(MACHINE);
      for (const command of COMMANDS) await operator.command(command);
      expect(subject.commands).to.deep.equal(COMMANDS);
    }));

  it('gives a peer the machine, and takes no order from it', () =>
    withApi(async ({ subject, client }) => {
      const peer = client(keys.renewed);
      expect(await peer.machine()).to.deep.equal(MACHINE);
      const signal = new AbortController().signal;
      for (const call of [
        peer.status(),
        peer.command('stop'),
        peer.command('test-failover'),
        peer.watch(() => undefined, signal),
      ])
        expect(await failure(call)).to.include({ code: 'REFUSED', status: 403 });
      expect(subject.commands).to.deep.equal([]);
    }));

  it('answers nobody else: another VM, another CA, an old certificate, none', () =>
    withApi(async ({ api, subject, refused, client }) => {
      expect(await failure(client(keys.otherVm).machine())).to.include({ code: 'REFUSED', status: 403 });
      for (const tls of [keys.foreign, keys.expired]) {
        expect((await failure(client(tls).status())).code).to.be.oneOf(['TLS', 'UNREACHABLE']);
        expect((await failure(client(tls).command('stop'))).code).to.be.oneOf(['TLS', 'UNREACHABLE']);
      }
      const bare = request({ host: HOST, port: api.port, ca: keys.side.ca, rejectUnauthorized: false });
      bare.end();
      const [error] = (await once(bare, 'error')) as [NodeJS.ErrnoException];
      expect(error.code).to.match(/ERR_SSL|ECONNRESET/);
      expect(refused.join()).to.include('CERT_HAS_EXPIRED').and.to.include('names neither');
      expect(subject.commands).to.deep.equal([]);
    }));

  it('is not taken for the VM by a caller who looks for another', () =>
    withApi(async ({ client }) => {
      const error = await failure(client(keys.operator, 'web-1').status());
      expect(error.code).to.equal('TLS');
      expect(error.message).to.include('does not name VM web-1');
    }));

  it('says what cannot be done yet, and what there is not', () =>
    withApi(async ({ api, subject, client }) => {
      subject.ready = false;
      const operator = client(keys.operator);
      expect(await failure(operator.machine())).to.include({ code: 'REFUSED', status: 409 });
      const refused = await failure(operator.command('protect'));
      expect(refused).to.include({ code: 'REFUSED', status: 409 });
      expect(refused.message).to.include('not yet');
      expect(await statusOf(api, 'GET', '/none')).to.equal(404);
      expect(await statusOf(api, 'GET', '/stop')).to.equal(404);
    }));

  it('cuts off who sends more than a request', () =>
    withApi(async ({ api }) => {
      const sent = request({ ...target(api), method: 'POST', path: '/none' });
      const chunk = Buffer.alloc(BODY_BYTES_MAX);
      sent.on('response', (answer) => answer.resume());
      const closed = once(sent, 'close');
      sent.on('error', () => undefined);
      for (let at = 0; at < 64; at += 1) sent.write(chunk);
      await closed;
      expect(sent.socket?.destroyed).to.equal(true);
    }));

  it('lets connections that ask nothing go, so that the operator comes in', () =>
    withApi(async ({ api, client }) => {
      const idle = Array.from({ length: CONNECTIONS_MAX }, () =>
        connect({ ...target(api) }).on('error', () => undefined),
      );
      await Promise.all(idle.map((socket) => once(socket, 'secureConnect')));
      expect((await failure(client(keys.operator).status())).code).to.equal('UNREACHABLE');
      await Promise.all(idle.map((socket) => once(socket.resume(), 'close')));
      expect((await client(keys.operator).status()).epoch).to.equal(1);
    }));
});

const target = (api: Api) => ({
  host: HOST,
  port: api.port,
  agent: false as const,
  ...keys.operator,
  checkServerIdentity: () => undefined,
});

async function statusOf(api: Api, method: string, path: string): Promise<number> {
  const sent = request({ ...target(api), method, path });
  sent.end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  answer.resume();
  return answer.statusCode ?? 0;
}

/** Of a megabyte each: more than the bound and what the kernel takes for both ends. */
const TOLD_UNREAD = 64;

describe('watching a sidecar in a launcher pod', function () {
  this.timeout(15_000);
  before(makeKeysOnce);

  it('tells the status at once, with each change, and every second', () =>
    withApi(async ({ api, subject, client }) => {
      const watching = new Watching(client(keys.operator));
      expect((await watching.next()).epoch).to.equal(1);
      subject.epoch = 2;
      api.changed();
      expect((await watching.next()).epoch).to.equal(2);
      subject.epoch = 3; // told by nobody
      expect((await watching.next()).epoch).to.equal(3);
      watching.abort.abort();
      await watching.over;
    }));

  it('ends with a last status', () =>
    withApi(async ({ api, subject, client }) => {
      const watching = new Watching(client(keys.operator));
      await watching.next();
      subject.epoch = 9;
      await api.close();
      expect((await watching.next((status) => status.epoch === 9)).epoch).to.equal(9);
      expect((await failure(watching.over)).code).to.equal('UNREACHABLE');
    }));

  it('goes on across a renewal of the certificate, and new callers meet the new one', () =>
    withApi(async ({ api, subject, client }) => {
      const watching = new Watching(client(keys.operator));
      await watching.next();
      api.useTls(keys.renewed);
      const socket = connect(target(api));
      await once(socket, 'secureConnect');
      expect(socket.getPeerX509Certificate()?.toString().trim()).to.equal(keys.renewed.cert.trim());
      socket.destroy();
      subject.epoch = 2;
      api.changed();
      expect((await watching.next()).epoch).to.equal(2);
      watching.abort.abort();
      await watching.over;
    }));

  it('drops a reader that does not read', () =>
    withApi(async ({ api, subject }) => {
      subject.padding = 'x'.repeat(UNREAD_BYTES_MAX);
      const sent = request({ ...target(api), path: '/watch' });
      sent.on('error', () => undefined);
      sent.end();
      const [answer] = (await once(sent, 'response')) as [IncomingMessage];
      answer.pause();
      for (let told = 0; told < TOLD_UNREAD; told += 1) {
        api.changed();
        await nextTurn();
      }
      const closed = new Promise((resolve) => answer.once('close', resolve));
      let bytes = 0;
      answer.on('error', () => undefined).on('data', (chunk: Buffer) => (bytes += chunk.length));
      answer.resume();
      await closed;
      expect(bytes).to.be.lessThan(TOLD_UNREAD * UNREAD_BYTES_MAX);
      expect(answer.complete).to.equal(false);
    }));

  it('has room for some, and says so to the others', () =>
    withApi(async ({ client }) => {
      const watching = Array.from({ length: WATCHERS_MAX }, () => new Watching(client(keys.operator)));
      await Promise.all(watching.map((one) => one.next()));
      const more = client(keys.operator).watch(() => undefined, new AbortController().signal);
      expect(await failure(more)).to.include({ code: 'REFUSED', status: 429 });
      for (const { abort } of watching) abort.abort();
      await Promise.all(watching.map(({ over }) => over));
    }));

  it('is over for the caller when nothing comes any more', () =>
    withApi(async ({ api }) => {
      const silent = new SidecarClient({
        host: HOST,
        port: api.port,
        vm: VM,
        tls: () => keys.operator,
        silenceMsMax: 50,
      });
      const error = await failure(silent.watch(() => undefined, new AbortController().signal));
      expect(error.code).to.equal('TIMEOUT');
    }));
});
