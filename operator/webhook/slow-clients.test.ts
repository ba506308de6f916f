// SPDX-License-Identifier: Apache-2.0
/** Clients that take their time, or take no end: each is let go, and others do not wait for them. */
import { expect } from 'chai';
import { request } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { makeCa, makeHostCertificate, type Pair } from '../../sidecar/io/channel/pki.js';
import { WebhookServer } from './server.js';

/** Long enough for an honest client on a busy machine. */
const REQUEST_MS_MAX = 3_000;
/** Two bounds of it one after the other (handshake, request), the time between two looks, and a slow machine. */
const ENDED_MS_MAX = 15_000;
const DRIP_MS = 20;
const CLIENTS = 3;
const HOST = '127.0.0.1';

const review = JSON.stringify({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: {
    uid: 'u1',
    operation: 'CREATE',
    resource: { group: 'g', resource: 'r' },
    object: {},
    oldObject: null,
  },
});
const headers = (...lines: readonly string[]): string =>
  ['POST /validate HTTP/1.1', 'host: localhost', ...lines, '', ''].join('\r\n');

/** Says `text` byte by byte, the last one again and again, until the other side has enough. */
function drip(socket: Socket, text: string): void {
  let at = 0;
  const timer = setInterval(() => {
    socket.write(text[Math.min(at, text.length - 1)] ?? '');
    at += 1;
  }, DRIP_MS);
  socket.once('close', () => clearInterval(timer));
}

/** As fast as the other side takes it, without end. */
function flood(socket: Socket, chunk: string): void {
  const pour = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', pour);
  pour();
}

describe('the admission server and slow clients', function () {
  this.timeout(30_000);
  let ca: Pair;
  let server: WebhookServer;

  const start = async (requestMsMax: number): Promise<WebhookServer> => {
    const pair = await makeHostCertificate(ca, { commonName: 'webhook', vms: [], dnsNames: ['localhost'] });
    const keys = { cert: pair.certificatePem, key: pair.privateKeyPem };
    const handlers = { '/validate': () => ({ allowed: true }) as const };
    return WebhookServer.start({ port: 0, host: HOST, tls: keys, handlers, requestMsMax });
  };

  before(async () => {
    ca = await makeCa('test');
    server = await start(REQUEST_MS_MAX);
  });

  after(() => server.close());

  const tcp = ({ port }: WebhookServer): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket = connectTcp({ host: HOST, port }, () => resolve(socket));
      socket.once('error', reject);
    });

  const tls = ({ port }: WebhookServer): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const options = { host: HOST, port, servername: 'localhost', ca: ca.certificatePem };
      const socket = connectTls(options, () => resolve(socket));
      socket.once('error', reject);
    });

  function ask(): Promise<number> {
    return new Promise((resolve, reject) => {
      const options = {
        host: HOST,
        servername: 'localhost',
        port: server.port,
        path: '/validate',
        method: 'POST',
        ca: ca.certificatePem,
        agent: false,
      };
      const sent = request(options, (answer) => {
        answer.resume();
        answer.on('end', () => resolve(answer.statusCode ?? 0));
      });
      sent.on('error', reject);
      sent.end(review);
    });
  }

  /** How long it took the server to end the connection, ms; it hangs up or it breaks off. */
  const ended = (socket: Socket): Promise<number> =>
    new Promise((resolve) => {
      const since = performance.now();
      socket.on('error', () => undefined); // 'close' follows
      socket.once('end', () => socket.destroy());
      socket.once('close', () => resolve(performance.now() - since));
    });

  const SLOW: readonly (readonly [string, 'tcp' | 'tls', (socket: Socket) => void, reads?: false])[] = [
    ['says nothing at all', 'tcp', () => undefined],
    ['begins a handshake and leaves it at that', 'tcp', (socket) => socket.write('\x16\x03\x01\x02')],
    [
      'shakes hands byte by byte',
      'tcp',
      (socket) => drip(socket, '\x16\x03\x01\x3f\xff\x01\x00\x3f\xfb\x03'),
    ],
    ['says nothing after the handshake', 'tls', () => undefined],
    ['sends its headers byte by byte', 'tls', (socket) => drip(socket, headers('x-slow: a').slice(0, -4))],
    [
      'sends its body byte by byte',
      'tls',
      (socket) => {
        socket.write(headers('content-length: 100000'));
        drip(socket, '{ ');
      },
    ],
    [
      'sends a body that is too large, and goes on',
      'tls',
      (socket) => {
        socket.write(headers('transfer-encoding: chunked'));
        flood(socket, `10000\r\n${'x'.repeat(0x10000)}\r\n`);
      },
    ],
    [
      'asks and asks, and reads no answer',
      'tls',
      (socket) => {
        socket.pause();
        flood(socket, `${headers(`content-length: ${review.length}`)}${review}`.repeat(100));
      },
      false,
    ],
  ];

  it('does not wait for them when it goes', async () => {
    const leaving = await start(60_000);
    const clients = await Promise.all([tcp(leaving), tls(leaving)]);
    const ends = clients.map((one) => ended(one.resume()));
    await leaving.close();
    for (const ms of await Promise.all(ends)) expect(ms).to.be.below(ENDED_MS_MAX);
  });

  describe('all of them at once', () => {
    const ends = new Map<string, Promise<number[]>>();

    before(async () => {
      for (const [what, how, misbehave, reads] of SLOW) {
        const open = how === 'tcp' ? tcp : tls;
        const clients = await Promise.all(Array.from({ length: CLIENTS }, () => open(server)));
        ends.set(what, Promise.all(clients.map(ended)));
        for (const socket of clients) {
          misbehave(socket);
          if (reads !== false) socket.resume();
        }
      }
    });

    it('others are served meanwhile', async () => {
      expect(await ask()).to.equal(200);
    });

    for (const [what] of SLOW) {
      it(`ends one that ${what}`, async () => {
        for (const ms of (await ends.get(what)) ?? [Infinity]) expect(ms).to.be.below(ENDED_MS_MAX);
      });
    }

    it('others are served afterwards', async () => {
      expect(await ask()).to.equal(200);
    });
  });
});
