// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { RedisServer } from '../../sidecar/io/lease/redisServer.js';
import { questionToStore, readStoreSecret } from './store.js';

const NONCE = 'c'.repeat(32);

describe('question to the lease store', () => {
  it('writes a lease, and leaves nothing', async () => {
    const server = await RedisServer.start({ durable: true });
    try {
      const options = () => Promise.resolve({ socketPath: server.socketPath });
      expect(await questionToStore({ options, vm: 'trial', nonce: NONCE }).ask()).to.equal(null);
      const redis = new Redis({ path: server.socketPath });
      expect(await redis.dbsize()).to.equal(0);
      redis.disconnect();
    } finally {
      await server.close();
    }
  });

  it('says why when nobody answers', async () => {
    const options = () => Promise.resolve({ socketPath: '/nowhere/redis.sock', connectTimeoutMs: 200 });
    const why = await questionToStore({ options, vm: 'trial', nonce: NONCE }).ask();
    expect(why).to.match(/^does not answer: .*ENOENT/);
  }).timeout(10_000);

  it('says what a Secret lacks', async () => {
    const why = await questionToStore({
      options: () => readStoreSecret('/nowhere'),
      vm: 'trial',
      nonce: NONCE,
    }).ask();
    expect(why).to.match(/needs host, .*: host: /);
  });
});

describe('Secret of the lease store', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'lockstep-store-secret-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  const put = async (keys: Readonly<Record<string, string>>): Promise<void> => {
    for (const [key, value] of Object.entries(keys)) await writeFile(join(dir, key), value);
  };

  it('is read with and without TLS', async () => {
    const plain = { host: 'redis.example', port: 6380, username: 'lockstep', password: ' secret ' };
    await put({ ...plain, host: 'redis.example\n', port: '6380\n' });
    expect(await readStoreSecret(dir)).to.deep.equal(plain);
    await put({ 'ca.crt': 'PEM' });
    expect(await readStoreSecret(dir)).to.deep.equal({ ...plain, tls: { ca: 'PEM' } });
  });

  it('is refused with the name of the key that makes no sense', async () => {
    await put({ host: 'a', port: 'redis', username: 'u', password: 'p' });
    let message = '';
    await readStoreSecret(dir).catch((error: unknown) => (message = (error as Error).message));
    expect(message).to.match(/port: /);
  });
});
