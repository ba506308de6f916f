// SPDX-License-Identifier: Apache-2.0
// What api.test.ts does not see: other sides that do not behave.
import { expect } from 'chai';
import { once } from 'node:events';
import { createServer as createHttps, type Server } from 'node:https';
import { createServer, type AddressInfo, type Server as TcpServer, type Socket } from 'node:net';
import { CallError, SidecarClient, type CallErrorCode } from './client.js';
import { makeKeys, VM, type Keys } from './test/pki.js';

const HOST = '127.0.0.1';
const IMPATIENT_MS = 300;
/** Longer than the longest answer takes on a busy machine. */
const PATIENT_MS = 10_000;

async function failure(call: Promise<unknown>): Promise<CallError> {
  const error = await call.then(
    () => new Error('was answered'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof CallError)) throw error as Error;
  return error;
}

describe('asking a sidecar', function () {
  this.timeout(60_000);
  let keys: Keys;
  before(async () => {
    keys = await makeKeys();
  });

  const clientTo = (server: Server | TcpServer, timeoutMs: number): SidecarClient =>
    new SidecarClient({
      host: HOST,
      port: (server.address() as AddressInfo).port,
      vm: VM,
      tls: () => keys.operator,
      timeoutMs,
    });

  /** One that answers everything so. */
  async function answering(body: string, use: (client: SidecarClient) => Promise<void>): Promise<void> {
    const { ca, cert, key } = keys.side;
    const server = createHttps({ ca, cert, key, requestCert: true }, (_request, response) => {
      response.end(body);
    });
    server.listen(0, HOST);
    await once(server, 'listening');
    try {
      await use(clientTo(server, PATIENT_MS));
    } finally {
      server.close();
      server.closeAllConnections();
    }
  }

  it('that says nothing, or is not there, ends in its time', async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket.on('error', () => undefined)));
    server.listen(0, HOST);
    await once(server, 'listening');
    const client = clientTo(server, IMPATIENT_MS);
    expect((await failure(client.status())).code).to.equal('TIMEOUT');
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
    expect((await failure(client.status())).code).to.equal('UNREACHABLE');
  });

  it('that says something else is not believed', async () => {
    const rows: [string, CallErrorCode][] = [
      ['<html>', 'BAD_ANSWER'],
      ['{"role":"primary"}', 'BAD_ANSWER'],
      [' '.repeat(5 * 1024 * 1024), 'BAD_ANSWER'],
    ];
    for (const [body, code] of rows) {
      await answering(body, async (client) => {
        expect((await failure(client.status())).code).to.equal(code);
        expect((await failure(client.machine())).code).to.equal(code);
        const watching = client.watch(() => undefined, new AbortController().signal);
        expect((await failure(watching)).code).to.be.oneOf([code, 'UNREACHABLE']);
      });
    }
  });

  it('is over without a word when the caller wants no more', async () => {
    const abort = new AbortController();
    await answering('', async (client) => {
      abort.abort();
      await client.watch(() => undefined, abort.signal);
    });
  });
});
