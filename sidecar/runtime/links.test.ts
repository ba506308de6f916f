// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { makeCa, makeHostCertificate } from '../io/channel/pki.js';
import type { ChannelTls } from '../io/channel/tls.js';
import type { ProtocolEvent } from '../protocol/events.js';
import type { LinkId, Lsn } from '../protocol/types.js';
import { Links } from './links.js';
import { UNDER_WAY_BYTES_MAX } from './under-way.js';

const VM = 'web-1';
const HOST = '127.0.0.1';

let tls: ChannelTls;
before(async () => {
  const ca = await makeCa('test');
  const pair = await makeHostCertificate(ca, { commonName: 'h1', vms: [VM], dnsNames: [] });
  tls = { ca: ca.certificatePem, cert: pair.certificatePem, key: pair.privateKeyPem };
});

/** A log of zeros without an end, and a place to put one. */
class FakeRing {
  produced = 0;
  view(from: number, to: number): Buffer {
    return Buffer.alloc(to - from);
  }
  append(bytes: Uint8Array): number {
    return (this.produced += bytes.length);
  }
}

class Side {
  readonly links: Links;
  /** Numbers of packets that came. */
  readonly packets: number[] = [];
  private readonly events: ProtocolEvent[] = [];
  private wake: () => void = () => undefined;

  constructor(nonce: string, port: number, peerPort: number | null) {
    this.links = new Links({
      identity: { vm: VM, nonce: nonce.repeat(32), tls },
      listen: { host: HOST, port },
      peer: peerPort === null ? null : { host: HOST, port: peerPort },
      ring: new FakeRing(),
      dialTimeoutMs: 2_000,
      post: (event) => {
        this.events.push(event);
        this.wake();
      },
      onRefused: () => undefined,
      onLogBytes: () => undefined,
      packetsBelow: () => 0,
      onPacketsLogged: () => undefined,
      onPackets: (first, packets) => {
        this.packets.push(...packets.map((_packet, i) => first + i));
      },
    });
  }

  /** The first event of the kind that nobody has taken. */
  async next<T extends ProtocolEvent['type']>(type: T): Promise<Extract<ProtocolEvent, { type: T }>> {
    for (;;) {
      const at = this.events.findIndex((event) => event.type === type);
      if (at >= 0) return this.events.splice(at, 1)[0] as Extract<ProtocolEvent, { type: T }>;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  async receivedTo(lsn: Lsn): Promise<void> {
    while ((await this.next('received')).lsn < lsn);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Pair {
  readonly primary: Side;
  readonly backup: Side;
  /** Another connection of the same two. */
  readonly connect: () => Promise<{ toBackup: LinkId; toPrimary: LinkId }>;
}

async function withPair(body: (pair: Pair) => Promise<void>): Promise<void> {
  const port = await freePort();
  const primary = new Side('a', port, null);
  const backup = new Side('b', 0, port);
  try {
    await primary.links.listen();
    primary.links.admit();
    const connect = async (): Promise<{ toBackup: LinkId; toPrimary: LinkId }> => {
      backup.links.dial();
      const [dialled, accepted] = await Promise.all([backup.next('dialled'), primary.next('accepted')]);
      return { toBackup: accepted.link, toPrimary: dialled.link };
    };
    await body({ primary, backup, connect });
  } finally {
    await backup.links.shutdown();
    await primary.links.shutdown();
  }
}

const PACKET = Buffer.alloc(60_000);
const FIT = Math.floor(UNDER_WAY_BYTES_MAX / PACKET.length);

describe('links: forwarded packets', function () {
  this.timeout(10_000);

  it('go to the backup that gets the log, no more than may be under way until it acknowledges', () =>
    withPair(async ({ primary, backup, connect }) => {
      const { toBackup, toPrimary } = await connect();
      primary.links.forward(1, [PACKET]); // no log yet: nobody's
      primary.links.ship(toBackup, 0, 100, true);
      for (let n = 2; n <= 20; n += 1) primary.links.forward(n, [PACKET]);
      primary.links.ship(toBackup, 100, 200, true);
      await backup.receivedTo(200);
      const first = Array.from({ length: FIT }, (_unused, i) => 2 + i);
      expect(backup.packets).to.deep.equal(first);

      backup.links.send(toPrimary, { type: 'ack', received: 200, consumed: 0, compared: 0 });
      await primary.next('frame');
      primary.links.forward(21, [PACKET]);
      primary.links.ship(toBackup, 200, 300, true);
      await backup.receivedTo(300);
      expect(backup.packets).to.deep.equal([...first, 21]);
    }));

  it('do not go out behind much log, and begin anew with another connection', () =>
    withPair(async ({ primary, backup, connect }) => {
      const head = UNDER_WAY_BYTES_MAX;
      const old = await connect();
      primary.links.ship(old.toBackup, 0, head, true);
      primary.links.forward(1, [PACKET]);
      await backup.receivedTo(head);
      const { toBackup } = await connect();
      primary.links.ship(toBackup, head, head + 100, true);
      primary.links.forward(2, [PACKET]);
      primary.links.ship(toBackup, head + 100, head + 200, true);
      await backup.receivedTo(head + 200);
      expect(backup.packets).to.deep.equal([2]);
    }));
});

describe('links: clone connections', function () {
  this.timeout(10_000);

  it('are let in for a peer that is connected already', () =>
    withPair(async ({ primary, backup, connect }) => {
      const { toBackup } = await connect();
      const asked = primary.links.cloneFrom(toBackup, new AbortController().signal);
      const out = await backup.links.cloneTo();
      out.write('state');
      const received = once((await asked).resume(), 'data');
      expect(String((await received)[0])).to.equal('state');
    }));

  it('are not let in for anybody else', () =>
    withPair(async ({ backup }) => {
      const stranger = await backup.links.cloneTo();
      await once(stranger.resume(), 'close');
    }));
});
