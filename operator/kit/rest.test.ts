// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { RestApi } from './rest.js';
import { FakeApi } from './test/fake-api.js';
import { rejection } from './test/rejection.js';
import { CONFIG_MAPS, configMap } from './test/resources.js';

const PATH = '/api/v1/namespaces/default/configmaps/a';
const get = { method: 'GET', path: PATH } as const;
const anything = (): boolean => true;

describe('RestApi', function () {
  this.timeout(60_000);

  let server: FakeApi;
  let api: RestApi;

  beforeEach(async () => {
    server = await FakeApi.start();
    server.put(CONFIG_MAPS, configMap('a', { text: 'grün' }));
    api = new RestApi(server.kubeConfig(), { callTimeoutMs: 2_000 });
  });

  afterEach(async () => {
    api.close();
    await server.close();
  });

  it('gives the answer', async () => {
    expect(await api.call(get)).to.deep.include({ data: { text: 'grün' } });
  });

  for (const [status, code] of [
    [400, 'Invalid'],
    [401, 'Unauthorized'],
    [403, 'Forbidden'],
    [404, 'NotFound'],
    [409, 'Conflict'],
    [410, 'Gone'],
    [422, 'Invalid'],
    [500, 'Unavailable'],
    [503, 'Unavailable'],
  ] as const)
    it(`${status} is ${code}, with the server's words and a cure`, async () => {
      server.fail({ when: anything, with: { status } });
      const error = await rejection(api.call(get), code);
      expect(error).to.include({ status, reason: 'Injected', retryAfterMs: null });
      expect(error.message)
        .to.include('GET /api/v1')
        .and.include('refused by the test')
        .and.include(error.cure);
    });

  it('429 says when to try again', async () => {
    server.fail({ when: anything, with: { status: 429, retryAfterS: 7 } });
    expect((await rejection(api.call(get), 'TooMany')).retryAfterMs).to.equal(7_000);
  });

  it('a conflict of names has a code of its own', async () => {
    const post = { method: 'POST', path: PATH.slice(0, -2), body: configMap('a') } as const;
    await rejection(api.call(post), 'AlreadyExists');
  });

  it('an answer cut at any byte is no answer', async () => {
    for (const cutAfterBytes of [1, 17, 60]) {
      server.fail({ when: anything, times: 1, with: { cutAfterBytes } });
      await rejection(api.call(get), 'Unreachable');
    }
    expect(await api.call(get)).to.have.property('data');
  });

  it('an answer that does not come is given up in time', async () => {
    api = new RestApi(server.kubeConfig(), { callTimeoutMs: 50 });
    server.fail({ when: anything, times: 1, with: 'hang' });
    expect((await rejection(api.call(get), 'Unreachable')).message).to.include('no answer within 50 ms');
  });

  it('asks the server to give up in time as well', async () => {
    await api.call(get);
    expect(server.requests[0]?.query).to.deep.equal({ timeout: '2s' });
  });

  it('a server that is away, and back', async () => {
    await api.call(get);
    await server.stop();
    await rejection(api.call(get), 'Unreachable');
    await server.restart();
    expect(await api.call(get)).to.have.property('data');
  });

  it('connections are used again', async () => {
    const ports = new Set<string>();
    for (let i = 0; i < 5; i++) {
      await api.call(get);
      ports.add(server.lastClient);
    }
    expect(ports.size).to.equal(1);
  });

  it('a caller that has gone is not waited for', async () => {
    const gone = new AbortController();
    server.fail({ when: anything, with: 'hang' });
    const asked = api.call({ ...get, signal: gone.signal });
    gone.abort();
    await rejection(asked, 'Unreachable');
    await rejection(api.call({ ...get, signal: gone.signal }), 'Unreachable');
  });

  it('a stream comes in pieces, and a cut shows', async () => {
    server.fail({ when: ({ isWatch }) => isWatch, with: { cutAfterBytes: 40 } });
    const query = { watch: 'true' };
    const pieces = await api.stream({ method: 'GET', path: PATH.slice(0, -2), query });
    server.put(CONFIG_MAPS, configMap('b'));
    let text = '';
    const read = async (): Promise<void> => {
      for await (const piece of pieces) text += piece;
    };
    await rejection(read(), 'Unreachable');
    expect(text)
      .to.have.length(40)
      .and.match(/^{"type":"ADDED"/);
  });

  it('leaving a stream closes its connection', async () => {
    const pieces = await api.stream({ method: 'GET', path: PATH.slice(0, -2), query: { watch: 'true' } });
    server.put(CONFIG_MAPS, configMap('b'));
    for await (const piece of pieces) {
      expect(piece).to.include('ADDED');
      break;
    }
    while (server.watches.length > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('refuses a kubeconfig without a cluster, by its name', async () => {
    const config = server.kubeConfig();
    config.setCurrentContext('nothing');
    expect((await rejection(new RestApi(config).call(get), 'Invalid')).message).to.include(
      'no current cluster',
    );
  });
});
