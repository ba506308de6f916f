// SPDX-License-Identifier: Apache-2.0
// Certificates are renewed while connections live.
import { expect } from 'chai';
import { once } from 'node:events';
import { makeCa, makeHostCertificate, type Pair } from './pki.js';
import { dial, listen, type ChannelListener, type ChannelTls, type OpenConnection } from './tls.js';

const VM = 'web-1';
const A = 'a'.repeat(32);
const B = 'b'.repeat(32);
const HOST = '127.0.0.1';
const TIMEOUT_MS = 5_000;

async function keysOf(ca: Pair, trusted = ca.certificatePem): Promise<ChannelTls> {
  const made = await makeHostCertificate(ca, { commonName: 'side', vms: [VM], dnsNames: [] });
  return { ca: trusted, cert: made.certificatePem, key: made.privateKeyPem };
}

const dialled = (listener: ChannelListener, tls: ChannelTls): Promise<OpenConnection> =>
  dial({
    identity: { vm: VM, nonce: B, tls },
    purpose: 'log',
    host: HOST,
    port: listener.port,
    timeoutMs: TIMEOUT_MS,
  });

const serialOf = ({ socket }: OpenConnection): string | undefined =>
  socket.getPeerX509Certificate()?.serialNumber;

async function listening(tls: ChannelTls, use: (listener: ChannelListener) => Promise<void>): Promise<void> {
  const listener = await listen({
    identity: { vm: VM, nonce: A, tls },
    host: HOST,
    port: 0,
    onConnection: ({ socket }) => {
      socket.on('data', (bytes: Buffer) => socket.write(bytes)).resume();
    },
    onRefused: () => undefined,
  });
  try {
    await use(listener);
  } finally {
    await listener.close();
  }
}

describe("renewal of the channel's certificates", () => {
  it('shows the new one to who comes, and leaves who is there alone', async () => {
    const ca = await makeCa('test');
    await listening(await keysOf(ca), async (listener) => {
      const peer = await keysOf(ca);
      const before = await dialled(listener, peer);
      listener.useTls(await keysOf(ca));
      const after = await dialled(listener, peer);
      expect(serialOf(after)).not.to.equal(serialOf(before));
      before.socket.write('still here');
      before.socket.resume();
      const [bytes] = (await once(before.socket, 'data')) as [Buffer];
      expect(bytes.toString()).to.equal('still here');
      before.socket.destroy();
      after.socket.destroy();
    });
  });

  it('may change the CA, by way of both', async () => {
    const [old, next] = [await makeCa('old'), await makeCa('next')];
    const both = old.certificatePem + next.certificatePem;
    await listening(await keysOf(old, both), async (listener) => {
      for (const tls of [await keysOf(old), await keysOf(next, both)])
        (await dialled(listener, tls)).socket.destroy();
      listener.useTls(await keysOf(next));
      (await dialled(listener, await keysOf(next))).socket.destroy();
      const error = await dialled(listener, await keysOf(old, both)).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(Error);
    });
  });

  it('with keys that cannot be used changes nothing', async () => {
    const ca = await makeCa('test');
    const [one, other] = [await keysOf(ca), await keysOf(ca)];
    await listening(one, async (listener) => {
      expect(() => {
        listener.useTls({ ...one, key: other.key });
      }).to.throw(/key/);
      (await dialled(listener, other)).socket.destroy();
    });
  });
});
