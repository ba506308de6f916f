// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { base64 } from './api/base64.js';
import type { Secret } from './api/objects.js';
import type { Stored } from './kit/object.js';
import {
  keptStore,
  leaseOptionsOf,
  NoStoreError,
  parseStore,
  storeReader,
  StoreSecretError,
} from './store.js';
import { sampleFtvm } from './test/samples.js';

describe('the Secret of the lease store', () => {
  const parse = (texts: Readonly<Record<string, string>>) => parseStore('Secret s', texts);

  it('needs a host; the rest is there where it applies', () => {
    expect(parse({ host: 'a' })).to.deep.equal({ host: 'a', port: 6379 });
    expect(() => parse({})).to.throw(StoreSecretError, /Secret s needs host, .*: host: /);
    expect(() => parse({ host: ' \n' })).to.throw(StoreSecretError, /host: /);
    const all = { host: 'a', port: '1', username: 'u', password: 'p', keyPrefix: 'k:', 'ca.crt': 'PEM' };
    const { 'ca.crt': tlsCa, ...rest } = all;
    expect(parse({ ...all, 'users.acl': 'of somebody else' })).to.deep.equal({ ...rest, port: 1, tlsCa });
  });

  it('may have come from files: an end of line counts nowhere, blanks in a password do', () => {
    expect(parse({ host: 'a\n', port: ' 6380\n', username: 'u\n', password: ' p \n' })).to.deep.equal({
      host: 'a',
      port: 6380,
      username: 'u',
      password: ' p ',
    });
  });

  it('has nothing where a value is empty', () => {
    expect(parse({ host: 'a', username: '', password: '\n', 'ca.crt': '' })).to.deep.equal({
      host: 'a',
      port: 6379,
    });
  });

  it('is refused with the name of each key that makes no sense', () => {
    for (const port of ['redis', '0', '65536', '1.5'])
      expect(() => parse({ host: 'a', port }), port).to.throw(StoreSecretError, /port: /);
  });

  it('is asked by TLS when it has a CA', () => {
    expect(leaseOptionsOf(parse({ host: 'a' }))).to.deep.equal({ host: 'a', port: 6379 });
    expect(leaseOptionsOf(parse({ host: 'a', 'ca.crt': 'PEM' }))).to.deep.include({ tls: { ca: 'PEM' } });
  });

  describe('of a VM', () => {
    const asked: string[] = [];
    const secret: Stored<Secret> = {
      metadata: { name: 's', uid: 'u', resourceVersion: '1' },
      data: { host: base64('a') },
    };
    const reader = (answer: Stored<Secret> | null) =>
      storeReader({
        client: {
          find: (_resource, { name, namespace }) => {
            asked.push(`${namespace ?? ''}/${name}`);
            return Promise.resolve(answer as never);
          },
        },
        namespace: 'system',
        defaultName: 'lockstep-store',
      });

    it('is the one that it names, or that of the installation', async () => {
      asked.length = 0;
      expect(await reader(secret)(sampleFtvm())).to.deep.equal({ host: 'a', port: 6379 });
      await reader(secret)(sampleFtvm({ spec: { store: { secretName: 'mine' } } }));
      expect(asked).to.deep.equal(['system/lockstep-store', 'system/mine']);
    });

    it('and is not there: that is another matter than one that makes no sense', async () => {
      const failureOf = (answer: Stored<Secret> | null): Promise<unknown> =>
        reader(answer)(sampleFtvm()).catch((error: unknown) => error);
      expect(await failureOf(null)).to.be.instanceOf(NoStoreError);
      const senseless = await failureOf({ ...secret, data: {} });
      expect(senseless).to.be.instanceOf(StoreSecretError);
      expect(senseless).to.not.be.instanceOf(NoStoreError);
    });
  });
});

describe('the lease store of a VM that runs', () => {
  const started = { host: 'a', port: 6379, password: 'old', keyPrefix: 'k:' };
  const secretWith = (text: string): Secret => ({
    metadata: { name: 's' },
    data: { 'sidecar.json': base64(text) },
  });
  const side = secretWith(JSON.stringify({ vm: 'db', store: started }));
  const kept = (named: typeof started, secrets: readonly Secret[]) =>
    keptStore(
      () => Promise.resolve(named),
      () => secrets,
    )(sampleFtvm());

  it('stays the one that its sides were started with, whatever its Secret names by now', async () => {
    for (const change of [{ host: 'b' }, { port: 6380 }, { keyPrefix: 'other:' }])
      expect(await kept({ ...started, ...change }, [side]), JSON.stringify(change)).to.deep.equal(started);
  });

  it('has its new password taken', async () => {
    const named = { ...started, password: 'new' };
    expect(await kept(named, [side])).to.deep.equal(named);
  });

  it('is what the Secret names for one that has no side, or whose sides’ Secrets say nothing', async () => {
    const named = { ...started, host: 'b' };
    for (const secrets of [[], [secretWith('{')], [secretWith('{}')]])
      expect(await kept(named, secrets)).to.deep.equal(named);
  });
});
