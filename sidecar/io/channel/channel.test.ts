// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import type { AddonError } from '../../../native/addon/index.js';
import type { WireFrame } from '../../protocol/frames.js';
import { connectToMigration, MigrationListener, pumpClone } from './clone.js';
import { ChannelError, type ChannelErrorCode } from './errors.js';
import { ChannelLink, type LinkDown } from './link.js';
import { makeCa, makeHostCertificate, readPair, vmUri, writePair, type Pair } from './pki.js';
import {
  CONNECTIONS_MAX,
  dial,
  listen,
  namesVm,
  type ChannelListener,
  type ChannelTls,
  type OpenConnection,
} from './tls.js';

const VM = 'web-1';
const A = 'a'.repeat(32);
const B = 'b'.repeat(32);
const TIMEOUT_MS = 5_000;

interface Pki {
  readonly ca: Pair;
  readonly foreignCa: Pair;
  readonly good: ChannelTls;
  readonly otherVm: ChannelTls;
  readonly foreign: ChannelTls;
}

let pki: Pki;

async function tlsOf(ca: Pair, vm: string): Promise<ChannelTls> {
  const pair = await makeHostCertificate(ca, { commonName: `host of ${vm}`, vms: [vm], dnsNames: [] });
  return { ca: ca.certificatePem, cert: pair.certificatePem, key: pair.privateKeyPem };
}

before(async () => {
  const ca = await makeCa('test');
  const foreignCa = await makeCa('foreign');
  const good = await tlsOf(ca, VM);
  const foreign = await tlsOf(foreignCa, VM);
  pki = { ca, foreignCa, good, otherVm: await tlsOf(ca, 'web-2'), foreign };
});

class Side {
  readonly frames: WireFrame[] = [];
  readonly downs: LinkDown[] = [];
  readonly link: ChannelLink;
  #wake: () => void = () => undefined;

  constructor(connection: OpenConnection) {
    this.link = new ChannelLink(connection, {
      onFrame: (frame) => {
        this.frames.push(frame);
        this.#wake();
      },
      onDown: (down) => {
        this.downs.push(down);
        this.#wake();
      },
    });
  }

  async until(condition: (side: Side) => boolean): Promise<void> {
    while (!condition(this)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

interface Listening {
  readonly listener: ChannelListener;
  readonly refused: ChannelError[];
  readonly next: () => Promise<OpenConnection>;
  readonly nextRefused: () => Promise<ChannelError>;
}

async function listening(tls: ChannelTls): Promise<Listening> {
  const waiting: ((connection: OpenConnection) => void)[] = [];
  const here: OpenConnection[] = [];
  const refused: ChannelError[] = [];
  let onRefused: (error: ChannelError) => void = () => undefined;
  const listener = await listen({
    identity: { vm: VM, nonce: A, tls },
    host: '127.0.0.1',
    port: 0,
    onConnection(connection) {
      const take = waiting.shift();
      if (take === undefined) here.push(connection);
      else take(connection);
    },
    onRefused(error) {
      refused.push(error);
      onRefused(error);
    },
  });
  const next = (): Promise<OpenConnection> => {
    const connection = here.shift();
    if (connection !== undefined) return Promise.resolve(connection);
    return new Promise((resolve) => waiting.push(resolve));
  };
  const nextRefused = async (): Promise<ChannelError> => {
    const first = refused[0];
    if (first !== undefined) return first;
    return new Promise((resolve) => {
      onRefused = (error) => resolve(error);
    });
  };
  return { listener, refused, next, nextRefused };
}

function dialling(port: number, tls: ChannelTls, purpose: 'log' | 'clone' = 'log'): Promise<OpenConnection> {
  return dial({
    identity: { vm: VM, nonce: B, tls },
    purpose,
    host: '127.0.0.1',
    port,
    timeoutMs: TIMEOUT_MS,
  });
}

async function withListener(tls: ChannelTls, use: (listening: Listening) => Promise<void>): Promise<void> {
  const here = await listening(tls);
  try {
    await use(here);
  } finally {
    await here.listener.close();
  }
}

async function withConnections(
  purpose: 'log' | 'clone',
  use: (dialled: OpenConnection, accepted: OpenConnection) => Promise<void>,
): Promise<void> {
  await withListener(pki.good, async ({ listener, next }) => {
    const dialled = await dialling(listener.port, pki.good, purpose);
    try {
      await use(dialled, await next());
    } finally {
      dialled.socket.destroy();
    }
  });
}

function withLinks(use: (dialler: Side, acceptor: Side) => Promise<void>): Promise<void> {
  return withConnections('log', (dialled, accepted) => use(new Side(dialled), new Side(accepted)));
}

async function refusalOf(attempt: Promise<unknown>): Promise<ChannelError> {
  try {
    await attempt;
  } catch (error) {
    if (error instanceof ChannelError) return error;
    throw error;
  }
  throw new Error('was let in');
}

describe('channel: who is let in', function () {
  this.timeout(20_000);

  it('two hosts of one CA, both for the VM; each learns the nonce of the other', () =>
    withConnections('log', (dialled, accepted) => {
      expect(dialled.preface).to.deep.equal({ purpose: 'log', nonce: A });
      expect(accepted.preface).to.deep.equal({ purpose: 'log', nonce: B });
      expect(dialled.socket.getProtocol()).to.equal('TLSv1.3');
      return Promise.resolve();
    }));

  const dialers: readonly (readonly [string, () => ChannelTls, ChannelErrorCode])[] = [
    ['a certificate for another VM', () => pki.otherVm, 'CHANNEL_IDENTITY'],
    ['a certificate of another CA', () => ({ ...pki.foreign, ca: pki.good.ca }), 'CHANNEL_TLS'],
  ];
  for (const [what, tls, code] of dialers) {
    it(`a listener refuses ${what}`, () =>
      withListener(pki.good, async ({ listener, nextRefused }) => {
        await refusalOf(dialling(listener.port, tls()));
        expect((await nextRefused()).code).to.equal(code);
      }));
  }

  for (const [what, tls, code] of [
    ['a certificate for another VM', () => pki.otherVm, 'CHANNEL_IDENTITY'],
    ['a certificate of another CA', () => ({ ...pki.foreign, ca: pki.good.ca }), 'CHANNEL_TLS'],
  ] as const) {
    it(`a dialler refuses ${what}`, () =>
      withListener(tls(), async ({ listener }) => {
        expect((await refusalOf(dialling(listener.port, pki.good))).code).to.equal(code);
      }));
  }

  it('a listener refuses a peer without certificate, and one with TLS 1.2', () =>
    withListener(pki.good, async ({ listener, refused, nextRefused }) => {
      const options = {
        host: '127.0.0.1',
        port: listener.port,
        ca: pki.good.ca,
        checkServerIdentity: () => undefined,
      };
      const bare = tlsConnect(options);
      bare.on('error', () => undefined).resume();
      await nextRefused();
      const old = tlsConnect({ ...options, cert: pki.good.cert, key: pki.good.key, maxVersion: 'TLSv1.2' });
      const [error] = (await once(old, 'error').catch((caught: unknown) => [caught])) as [Error];
      expect(error.message).to.match(/version/i);
      expect(
        refused.every((refusal) => refusal.code === 'CHANNEL_TLS' || refusal.code === 'CHANNEL_UNREACHABLE'),
      ).to.equal(true);
      bare.destroy();
      old.destroy();
    }));

  it('a listener refuses a peer that speaks something else', () =>
    withListener(pki.good, async ({ listener, nextRefused }) => {
      const socket = tlsConnect({
        host: '127.0.0.1',
        port: listener.port,
        ...pki.good,
        checkServerIdentity: () => undefined,
      });
      socket.on('error', () => undefined).resume();
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      expect((await nextRefused()).code).to.equal('CHANNEL_BAD_PREFACE');
      socket.destroy();
    }));

  it('a listener that is full says so', () =>
    withListener(pki.good, async ({ listener, nextRefused }) => {
      const sockets = Array.from({ length: CONNECTIONS_MAX + 1 }, () =>
        createConnection(listener.port, '127.0.0.1').on('error', () => undefined),
      );
      expect((await nextRefused()).code).to.equal('CHANNEL_FULL');
      for (const socket of sockets) socket.destroy();
    }));

  it('nobody there: CHANNEL_UNREACHABLE with the cause', async () => {
    const here = await listening(pki.good);
    await here.listener.close();
    const error = await refusalOf(dialling(here.listener.port, pki.good));
    expect(error.code).to.equal('CHANNEL_UNREACHABLE');
    expect((error.cause as NodeJS.ErrnoException).code).to.equal('ECONNREFUSED');
  });

  it('a peer that does not answer: CHANNEL_TIMEOUT', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined).resume()).listen(
      0,
      '127.0.0.1',
    );
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const identity = { vm: VM, nonce: B, tls: pki.good };
    const error = await refusalOf(dial({ identity, purpose: 'log', host: '127.0.0.1', port, timeoutMs: 50 }));
    expect(error.code).to.equal('CHANNEL_TIMEOUT');
    silent.close();
  });
});

describe('channel: names and keys', () => {
  it('reads the whole name, not a part of it', () => {
    const names = (subjectaltname: string): { subjectaltname: string } => ({ subjectaltname });
    expect(namesVm(names('DNS:x, URI:lockstep:web-1'), VM)).to.equal(true);
    expect(namesVm(names('URI:lockstep:web-12'), VM)).to.equal(false);
    expect(namesVm(names('DNS:lockstep:web-1'), VM)).to.equal(false);
    expect(namesVm(names('URI:"lockstep:web-1, URI:lockstep:web-1"'), 'web')).to.equal(false);
    expect(namesVm({}, VM)).to.equal(false);
  });

  it('refuses VM names that would need quoting', () => {
    for (const name of ['', 'A', 'a b', '-a', 'a-', 'a,b', 'a'.repeat(64)])
      expect(() => vmUri(name)).to.throw();
  });

  it('keeps keys from other users', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'lockstep-pki-'));
    try {
      const { key } = await writePair(join(dir, 'ca'), 'ca', pki.ca);
      expect((await stat(key)).mode & 0o777).to.equal(0o600);
      expect(await readPair(join(dir, 'ca'), 'ca')).to.deep.equal(pki.ca);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});

describe('channel: link', function () {
  this.timeout(20_000);

  it('carries frames both ways, in order', () =>
    withLinks(async (dialler, acceptor) => {
      dialler.link.send({ type: 'beat', seq: 1, echo: 0 });
      dialler.link.send({ type: 'ack', received: 5, consumed: 4, compared: 3 });
      acceptor.link.send({ type: 'beat', seq: 2, echo: 1 });
      await acceptor.until((side) => side.frames.length === 2);
      await dialler.until((side) => side.frames.length === 1);
      expect(acceptor.frames.map((frame) => frame.type)).to.deep.equal(['beat', 'ack']);
      expect(dialler.frames).to.deep.equal([{ type: 'beat', seq: 2, echo: 1 }]);
    }));

  it('carries log whole, with the frames in their place', () =>
    withLinks(async (dialler, acceptor) => {
      const bytes = randomBytes(3 * 1024 * 1024 + 17);
      dialler.link.sendLog({ lsn: 12, bytes, end: true, packets: 5 });
      dialler.link.send({ type: 'beat', seq: 1, echo: 0 });
      await acceptor.until((side) => side.frames.at(-1)?.type === 'beat');
      const log = acceptor.frames.slice(0, -1);
      let at = 12;
      for (const frame of log) {
        if (frame.type !== 'log') throw new Error(`a ${frame.type} among the log`);
        expect(frame.lsn).to.equal(at);
        at += frame.bytes.length;
        expect(frame.end).to.equal(at === 12 + bytes.length);
        expect(frame.packets).to.equal(frame.end ? 5 : 0);
      }
      const received = Buffer.concat(
        log.map((frame) => (frame.type === 'log' ? frame.bytes : Buffer.alloc(0))),
      );
      expect(received.equals(bytes)).to.equal(true);
    }));

  it('carries packets, in their place and as copies', () =>
    withLinks(async (dialler, acceptor) => {
      const packets = Array.from({ length: 300 }, (_, i) => randomBytes(14 + i));
      dialler.link.sendPackets(7, packets.slice(0, 1), Infinity);
      dialler.link.sendLog({ lsn: 0, bytes: randomBytes(8), end: true, packets: 7 });
      dialler.link.sendPackets(8, packets.slice(1), Infinity);
      dialler.link.send({ type: 'beat', seq: 1, echo: 0 });
      await acceptor.until((side) => side.frames.at(-1)?.type === 'beat');
      const types = acceptor.frames.map((frame) => frame.type);
      expect(types).to.deep.equal(['packets', 'log', 'packets', 'packets', 'packets', 'beat']);
      const got = acceptor.frames.flatMap((frame) => (frame.type === 'packets' ? frame.packets : []));
      expect(Buffer.concat(got).equals(Buffer.concat(packets))).to.equal(true);
    }));

  it('packets that do not fit are left out, the newest', () =>
    withLinks(async (dialler, acceptor) => {
      const packets = Array.from({ length: 5 }, () => randomBytes(60_000));
      expect(dialler.link.sendPackets(1, packets, 1000)).to.equal(0);
      const sent = dialler.link.sendPackets(1, packets, 128 * 1024);
      expect(sent).to.be.within(2 * 60_000, 2 * 60_000 + 100);
      dialler.link.send({ type: 'beat', seq: 1, echo: 0 });
      await acceptor.until((side) => side.frames.at(-1)?.type === 'beat');
      const got = acceptor.frames.flatMap((frame) => (frame.type === 'packets' ? frame.packets : []));
      expect(Buffer.concat(got).equals(Buffer.concat(packets.slice(0, 2)))).to.equal(true);
    }));

  it('the peer closes: eof; what it sent before still comes, nothing is told to itself', () =>
    withLinks(async (dialler, acceptor) => {
      dialler.link.send({ type: 'goodbye', reason: 'userAction' });
      dialler.link.close();
      dialler.link.close();
      await acceptor.until((side) => side.downs.length > 0);
      expect(acceptor.frames).to.deep.equal([{ type: 'goodbye', reason: 'userAction' }]);
      expect(acceptor.downs.map((down) => down.cause)).to.deep.equal(['eof']);
      expect(dialler.downs).to.deep.equal([]);
    }));

  it('what an acceptor says before it ends still arrives', () =>
    withListener(pki.good, async ({ listener, next }) => {
      const dialler = new Side(await dialling(listener.port, pki.good));
      const acceptor = new Side(await next());
      for (let lsn = 0; lsn < 400_000; lsn += 4_000)
        acceptor.link.sendLog({ lsn, bytes: randomBytes(4_000), end: true, packets: 0 });
      acceptor.link.send({ type: 'goodbye', reason: 'vmNotRunning' });
      acceptor.link.close();
      await listener.close();
      await dialler.until(({ downs }) => downs.length > 0);
      expect(dialler.frames.at(-1)).to.deep.equal({ type: 'goodbye', reason: 'vmNotRunning' });
      expect(dialler.downs[0]?.cause).to.equal('eof');
    }));

  it('log that waits in the ring does not go out after the end: its bytes may be others by then', () =>
    withLinks(async (dialler, acceptor) => {
      const ring = randomBytes(16 * 1024 * 1024);
      const logged = Buffer.from(ring);
      dialler.link.sendLog({ lsn: 0, bytes: ring, end: true, packets: 0 });
      dialler.link.close();
      ring.fill(0);
      await acceptor.until((side) => side.downs.length > 0);
      let at = 0;
      for (const frame of acceptor.frames) {
        if (frame.type !== 'log') continue;
        expect(logged.subarray(at, at + frame.bytes.length).equals(frame.bytes)).to.equal(true);
        at += frame.bytes.length;
      }
      expect(at).to.be.lessThan(logged.length);
    }));

  it('the connection is reset: reset, once', () =>
    withListener(pki.good, async ({ listener, next }) => {
      const middle = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
      await once(middle, 'listening');
      const standing = dialling((middle.address() as AddressInfo).port, pki.good);
      const [front] = (await once(middle, 'connection')) as [Socket];
      const back = createConnection(listener.port, '127.0.0.1');
      front.pipe(back).pipe(front);
      const side = new Side(await standing);
      await next();
      front.resetAndDestroy();
      back.destroy();
      middle.close();
      await side.until(({ downs }) => downs.length > 0);
      expect(side.downs.map((down) => down.cause)).to.deep.equal(['reset']);
      side.link.send({ type: 'beat', seq: 1, echo: 0 });
      expect(side.link.isDown).to.equal(true);
    }));

  it('garbage: violation, with the named error', () =>
    withConnections('log', async (dialled, accepted) => {
      const side = new Side(accepted);
      dialled.socket.write(Buffer.alloc(64, 7));
      await side.until(({ downs }) => downs.length > 0);
      expect(side.downs[0]?.cause).to.equal('violation');
      expect(side.downs[0]?.detail).to.include('CHANNEL_BAD_VERSION');
    }));

  it('a peer that does not read: backlog, in bounded memory', () =>
    withConnections('log', async (dialled) => {
      const side = new Side(dialled);
      const piece = Buffer.alloc(1024 * 1024);
      for (let sent = 0; sent < 64 && !dialled.socket.destroyed; sent += 1)
        side.link.sendLog({ lsn: sent, bytes: piece, end: true, packets: 0 });
      expect(dialled.socket.destroyed).to.equal(true);
      await side.until(({ downs }) => downs.length > 0);
      expect(side.downs[0]?.cause).to.equal('backlog');
    }));
});

describe('channel: clone', function () {
  this.timeout(20_000);

  it('moves a stream from one unix socket to another, held back by the slowest', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'lockstep-clone-'));
    try {
      await withConnections('clone', async (dialled, accepted) => {
        const signal = AbortSignal.timeout(TIMEOUT_MS);
        const source = await MigrationListener.open(join(dir, 'out'));
        const target = createServer().listen(join(dir, 'in'));
        await once(target, 'listening');
        const qemu = createConnection(source.path);
        const bytes = randomBytes(8 * 1024 * 1024);
        qemu.end(bytes);
        const progress: number[] = [];
        const out = source
          .accept(TIMEOUT_MS)
          .then((stream) => stream.pumpTo(accepted.socket, (moved) => progress.push(moved)));
        const incoming = once(target, 'connection') as Promise<[Socket]>;
        const into = pumpClone(dialled.socket, await connectToMigration(join(dir, 'in')), signal);
        const received = await collect((await incoming)[0]);
        expect(received.equals(bytes)).to.equal(true);
        expect(await out).to.equal(bytes.length);
        expect(progress.length).to.be.above(8); // pieces of 256 KiB at most
        expect(progress).to.deep.equal([...progress].sort((a, b) => a - b));
        expect(progress.at(-1)).to.equal(bytes.length);
        await into;
        await source.close();
        target.close();
      });
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });

  it('rejects when it is aborted', () =>
    withConnections('clone', async (dialled, accepted) => {
      const abort = new AbortController();
      const pump = pumpClone(dialled.socket, dialled.socket, abort.signal);
      abort.abort();
      const error = await pump.catch((caught: unknown) => caught);
      expect((error as Error).name).to.equal('AbortError');
      accepted.socket.destroy();
    }));

  it('rejects the wait for a QEMU that never comes', () =>
    withMigration(async ({ listener }) => {
      const error = await listener.accept(1).catch((caught: unknown) => caught);
      expect((error as AddonError).code).to.equal('FDS_TIMEOUT');
    }));

  it('ends on request, also while QEMU sends nothing', () =>
    withMigration(async ({ listener, connect, accepted }) => {
      const closed = once(connect(), 'close');
      const source = await listener.accept(TIMEOUT_MS);
      const out = source.pumpTo(accepted.socket);
      source.abort();
      expect(await out).to.equal(0);
      source.abort(); // nothing is left to end
      await closed;
    }));

  it('ends on request, also when its target is destroyed already', () =>
    withMigration(async ({ listener, connect, accepted }) => {
      connect();
      const source = await listener.accept(TIMEOUT_MS);
      const out = source.pumpTo(accepted.socket);
      source.abort();
      accepted.socket.destroy();
      expect(await out.catch((caught: unknown) => caught)).to.be.instanceOf(Error);
    }));

  it('tells that the peer is gone while QEMU still sends, and lets go of QEMU', () =>
    withMigration(async ({ listener, connect, dialled, accepted }) => {
      const qemu = connect();
      const closed = once(qemu, 'error'); // a broken pipe: nobody reads any more
      const piece = randomBytes(256 * 1024);
      const send = (): void => {
        while (!qemu.destroyed && qemu.write(piece));
      };
      qemu.on('drain', send);
      const out = listener.accept(TIMEOUT_MS).then((stream) => stream.pumpTo(accepted.socket));
      send();
      await once(dialled.socket.resume(), 'data');
      dialled.socket.destroy();
      expect(await out.catch((caught: unknown) => caught)).to.be.instanceOf(Error);
      await closed;
    }));
});

interface Migration {
  readonly listener: MigrationListener;
  /** As QEMU does it. */
  readonly connect: () => Socket;
  readonly dialled: OpenConnection;
  readonly accepted: OpenConnection;
}

/** A clone connection, and the socket that QEMU is to send to. */
const withMigration = (body: (migration: Migration) => Promise<void>): Promise<void> =>
  withConnections('clone', async (dialled, accepted) => {
    const dir = await mkdtemp(join(tmpdir(), 'lockstep-clone-'));
    const listener = await MigrationListener.open(join(dir, 'out'));
    const clients: Socket[] = [];
    const connect = (): Socket => {
      const client = createConnection(listener.path);
      clients.push(client);
      return client;
    };
    try {
      await body({ listener, connect, dialled, accepted });
    } finally {
      for (const client of clients) client.destroy();
      await listener.close();
      await rm(dir, { recursive: true, force: true });
    }
  });

async function collect(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
