// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { request } from 'node:https';
import { connect } from 'node:tls';
import { makeCa, makeHostCertificate, type Pair } from '../../sidecar/io/channel/pki.js';
import { WebhookServer, type Handlers } from './server.js';

const HANDLERS: Handlers = {
  '/validate': ({ object }) =>
    (object as { good?: boolean }).good === true
      ? { allowed: true }
      : { allowed: false, message: 'not good: make it so' },
  '/inject': () => ({ allowed: true, patch: [{ op: 'add', path: '/a', value: 1 }] }),
  '/broken': () => {
    throw new Error('this went wrong');
  },
};

const review = (object: unknown): string =>
  JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'u1',
      operation: 'CREATE',
      resource: { group: 'g', resource: 'r' },
      object,
      oldObject: null,
    },
  });

interface Answered {
  readonly status: number;
  readonly body: string;
}

describe('the admission server', () => {
  let ca: Pair;
  let server: WebhookServer;

  const keys = async (): Promise<{ cert: string; key: string }> => {
    const pair = await makeHostCertificate(ca, { commonName: 'webhook', vms: [], dnsNames: ['localhost'] });
    return { cert: pair.certificatePem, key: pair.privateKeyPem };
  };

  before(async () => {
    ca = await makeCa('test');
    server = await WebhookServer.start({ port: 0, host: '127.0.0.1', tls: await keys(), handlers: HANDLERS });
  });

  after(() => server.close());

  function ask(path: string, body: string, method = 'POST'): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const options = {
        host: '127.0.0.1',
        servername: 'localhost',
        port: server.port,
        path,
        method,
        ca: ca.certificatePem,
      };
      const sent = request({ ...options, agent: false }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
        );
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  const responseTo = async (path: string, body: string): Promise<Record<string, unknown>> =>
    (JSON.parse((await ask(path, body)).body) as { response: Record<string, unknown> }).response;

  it('admits, with the uid that it was asked with', async () => {
    expect(await responseTo('/validate?timeout=10s', review({ good: true }))).to.deep.equal({
      uid: 'u1',
      allowed: true,
    });
  });

  it('refuses in words', async () => {
    const { allowed, status } = await responseTo('/validate', review({}));
    expect(allowed).to.equal(false);
    expect(status).to.deep.equal({ code: 403, reason: 'Forbidden', message: 'not good: make it so' });
  });

  it('patches', async () => {
    const { patchType, patch } = await responseTo('/inject', review({}));
    expect(patchType).to.equal('JSONPatch');
    expect(JSON.parse(Buffer.from(String(patch), 'base64').toString())).to.deep.equal([
      { op: 'add', path: '/a', value: 1 },
    ]);
  });

  it('takes a failure of its own for a refusal', async () => {
    expect((await responseTo('/broken', review({})))['allowed']).to.equal(false);
  });

  for (const [what, body] of [
    ['nothing', ''],
    ['no JSON', '{'],
    ['another kind', JSON.stringify({ apiVersion: 'v1', kind: 'Pod' })],
    [
      'a review without a request',
      JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' }),
    ],
  ] as const) {
    it(`says what it takes when it gets ${what}`, async () => {
      const answered = await ask('/validate', body);
      expect(answered.status).to.equal(400);
      expect(answered.body).to.include('AdmissionReview');
    });
  }

  it('does not read more than any object has, and lives on', async () => {
    // Whether the answer or the end of the connection comes first is up to the network.
    const ended = await ask('/validate', 'x'.repeat(5 * 1024 * 1024)).then(
      ({ status }) => status,
      (error: unknown) => (error as NodeJS.ErrnoException).code,
    );
    expect(ended).to.be.oneOf([413, 'EPIPE', 'ECONNRESET']);
    expect((await responseTo('/validate', review({ good: true })))['allowed']).to.equal(true);
  });

  it('knows what there is', async () => {
    expect((await ask('/nothing', review({}))).body).to.include('/validate, /inject');
    expect((await ask('/validate', '', 'GET')).status).to.equal(404);
    expect(await ask('/healthz', '', 'GET')).to.deep.equal({ status: 200, body: 'ok\n' });
  });

  it('shows a new certificate to new connections, while the old ones live on', async () => {
    const serialOf = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const options = {
          host: '127.0.0.1',
          port: server.port,
          servername: 'localhost',
          ca: ca.certificatePem,
        };
        const socket = connect(options, () => {
          resolve(socket.getPeerCertificate().serialNumber);
          socket.destroy();
        });
        socket.on('error', reject);
      });
    const before = await serialOf();
    server.useTls(await keys());
    expect(await serialOf()).to.not.equal(before);
  });
});
