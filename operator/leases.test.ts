// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { RedisLease } from '../sidecar/io/lease/redis.js';
import { RedisServer } from '../sidecar/io/lease/redisServer.js';
import { FakeTime } from './kit/test/fake-time.js';
import { IDLE_MS_MAX, LeaseError, RedisLeases, STORES_MAX } from './leases.js';
import type { StoreAccess } from './store.js';

/** What does not wait for anything, on a busy machine. */
const AT_ONCE_MS = 300;
/** A first attempt, or a question that nobody answers. */
const TRIED_MS = 2_000;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe('the operator’s connection to the lease store', function () {
  this.timeout(30_000);
  let server: RedisServer;
  let store: StoreAccess;
  let time: FakeTime;
  let leases: RedisLeases;
  let admin: Redis;

  beforeEach(async () => {
    const port = await freePort();
    server = await RedisServer.start({ durable: false, extraArgs: ['--port', String(port)] });
    store = { host: '127.0.0.1', port };
    time = new FakeTime();
    leases = new RedisLeases(time);
    admin = new Redis({ path: server.socketPath });
    admin.on('error', () => undefined); // the server is ended within tests
  });

  afterEach(async () => {
    leases.close();
    admin.disconnect();
    await server.close();
  });

  /** Connections by TCP: all but the test's own. */
  const connections = async (): Promise<number> => {
    const clients = (await admin.client('LIST')) as string;
    return clients.split('\n').filter((line) => /addr=127\.0\.0\.1:/.test(line)).length;
  };
  const madeSoFar = async (): Promise<number> =>
    Number(/total_connections_received:(\d+)/.exec(await admin.info('stats'))?.[1]);

  async function found(vm: string): Promise<void> {
    const lease = new RedisLease({ vm, ...store });
    await once(lease, 'up');
    expect((await lease.ask({ op: 'found', store: 'a'.repeat(32), nonce: 'b'.repeat(32) })).result).to.equal(
      'ok',
    );
    lease.close();
  }

  async function tookMs(what: Promise<unknown>): Promise<number> {
    const began = performance.now();
    await what;
    return performance.now() - began;
  }

  it('is one for all questions about all VMs, which are kept apart', async () => {
    await found('one');
    const before = await madeSoFar();
    expect(await leases.peek('one', store)).to.deep.include({ kind: 'present' });
    expect(await leases.peek('two', store)).to.deep.equal({ kind: 'missing' });
    await Promise.all(Array.from({ length: 8 }, () => leases.peek('one', store)));
    await leases.remove('two', store);
    expect(await leases.peek('one', store)).to.deep.include({ kind: 'present' });
    await leases.remove('one', store);
    expect(await leases.peek('one', store)).to.deep.equal({ kind: 'missing' });
    expect((await madeSoFar()) - before).to.equal(1);
    expect(await connections()).to.equal(1);
  });

  it('to a store that is away costs one wait; then each answer is `unknown` at once, and says which store', async () => {
    const away = { host: '127.0.0.1', port: await freePort() };
    expect(await tookMs(Promise.all([leases.peek('a', away), leases.peek('b', away)]))).to.be.below(TRIED_MS);
    for (let look = 0; look < 5; look++) {
      expect(await tookMs(leases.peek('a', away))).to.be.below(AT_ONCE_MS);
      expect(await leases.peek('a', away)).to.deep.equal({
        kind: 'unknown',
        reason: `unreachable (127.0.0.1:${away.port})`,
      });
    }
    const failure: unknown = await leases.remove('a', away).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(LeaseError);
    expect((failure as Error).message).to.contain(`127.0.0.1:${away.port}`);
  });

  it('comes back by itself when its server ends and begins again', async () => {
    expect(await leases.peek('one', store)).to.deep.equal({ kind: 'missing' });
    await server.end(true);
    expect(await tookMs(leases.peek('one', store))).to.be.below(AT_ONCE_MS);
    expect(await leases.peek('one', store)).to.deep.include({ kind: 'unknown' });
    await server.begin();
    let kind = 'unknown';
    while (kind === 'unknown') {
      ({ kind } = await leases.peek('one', store));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(kind).to.equal('missing');
    expect(await connections()).to.equal(1);
  });

  it('to a server that hangs costs one wait', async () => {
    await leases.peek('one', store);
    server.signal('SIGSTOP');
    expect(await tookMs(leases.peek('one', store))).to.be.below(TRIED_MS);
    for (let look = 0; look < 5; look++) {
      expect(await tookMs(leases.peek('one', store))).to.be.below(AT_ONCE_MS);
      const removal = leases.remove('one', store).catch((error: unknown) => error);
      expect(await tookMs(removal)).to.be.below(AT_ONCE_MS);
      expect(await removal).to.be.instanceOf(LeaseError);
    }
    server.signal('SIGCONT');
    let kind = 'unknown';
    while (kind === 'unknown') {
      ({ kind } = await leases.peek('one', store));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });

  it('ends when nobody has asked for a while, and is made again for the next question', async () => {
    await leases.peek('one', store);
    await time.advance(IDLE_MS_MAX - 1);
    await leases.peek('one', store);
    await time.advance(IDLE_MS_MAX - 1);
    expect(await connections()).to.equal(1);
    await time.advance(1);
    await untilAsync(async () => (await connections()) === 0);
    expect(await leases.peek('one', store)).to.deep.equal({ kind: 'missing' });
    expect(time.pending).to.equal(1);
  });

  it('is another one with another way to the store; of too many the one that waits longest ends', async () => {
    const stores = Array.from({ length: STORES_MAX + 3 }, (_, n) => ({ ...store, keyPrefix: `p${n}:` }));
    for (const one of stores) await leases.peek('one', one);
    await untilAsync(async () => (await connections()) === STORES_MAX);
    const before = await madeSoFar();
    for (const one of stores.slice(3)) await leases.peek('one', one);
    expect(await madeSoFar()).to.equal(before);
  });

  it('says of a wrong password that it is that', async () => {
    await admin.acl('SETUSER', 'lockstep', 'on', '>right', '~*', '+@all');
    const view = await leases.peek('one', { ...store, username: 'lockstep', password: 'wrong' });
    expect(view).to.deep.include({ kind: 'unknown' });
    expect((view as { readonly reason: string }).reason).to.contain('wrongPassword');
  });

  it('ends for good when the operator does', async () => {
    await leases.peek('one', store);
    leases.close();
    await untilAsync(async () => (await connections()) === 0);
    expect(time.pending).to.equal(0);
  });
});

/** Waits for a fact that the server tells. */
async function untilAsync(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
}
