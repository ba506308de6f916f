// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { once } from 'node:events';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { LeaseAnswer, LeaseRequest } from '../../protocol/lease/messages.js';
import { makeCa, makeHostCertificate, type Pair } from '../channel/pki.js';
import { leaseContract, wordOf, type ContractStore } from './contract.js';
import type { LeaseStore } from './port.js';
import { RedisLease, leaseKey, type LeaseOptions } from './redis.js';
import { RedisServer, type RedisServerOptions } from './redisServer.js';

const VM = 'vm-1';
const S = '5555555555555555555555555555aaaa';
const P = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1';
const B = 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb2';
const FOUND = { op: 'found', store: S, nonce: P } as const;
const ARM = { op: 'arm', store: S, epoch: 2, primary: P, backup: B } as const;
const CLAIM = { op: 'claim', store: S, epoch: 2, nonce: B } as const;
const PEEK = { op: 'peek' } as const;
/** Far above what a call takes, far below what the test runner waits. */
const BOUND_MS = 2000;

/** Arms in the life of the server that is there now. */
async function armIn(
  lease: LeaseStore,
  arm: Omit<Extract<LeaseRequest, { op: 'arm' }>, 'run'>,
): Promise<LeaseAnswer> {
  const seen = await lease.ask(PEEK);
  if (seen.op !== 'peek' || seen.result !== 'present') throw new Error('nothing to arm in');
  return lease.ask({ ...arm, run: seen.record.run });
}

async function upLease(options: LeaseOptions): Promise<RedisLease> {
  const lease = new RedisLease(options);
  await once(lease, 'up', { signal: AbortSignal.timeout(BOUND_MS * 2) });
  return lease;
}

async function contractStore(durable: boolean): Promise<ContractStore> {
  const server = await RedisServer.start({ durable });
  const leases: RedisLease[] = [];
  return {
    async connect(): Promise<LeaseStore> {
      const lease = await upLease({ vm: VM, socketPath: server.socketPath });
      leases.push(lease);
      return lease;
    },
    async loseKeys(): Promise<void> {
      await admin(server, (redis) => redis.flushall());
    },
    async restart(data): Promise<void> {
      const down = leases.map((lease) => once(lease, 'down'));
      await server.end(data === 'kept');
      await Promise.all(down);
      const up = leases.map((lease) => once(lease, 'up'));
      await server.begin();
      await Promise.all(up);
    },
    async close(): Promise<void> {
      for (const lease of leases) lease.close();
      await server.close();
    },
  };
}

const QUICK_SYNC = ['--repl-diskless-sync-delay', '0'];

/** An address that moves from server to server, as one behind DNS or a virtual IP address does. */
class MovingAddress {
  readonly socketPath: string;

  constructor(readonly dir: string) {
    this.socketPath = join(dir, 'moving.sock');
  }

  async moveTo(server: RedisServer): Promise<void> {
    const next = `${this.socketPath}.next`;
    await symlink(server.socketPath, next);
    await rename(next, this.socketPath);
  }
}

/** Until the server says `line` about its replication. */
async function saysOfReplication(redis: Redis, line: string): Promise<void> {
  await untilSo(line, async () => (await redis.info('replication')).includes(line));
}

async function untilSo(what: string, test: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 15_000;
  while (!(await test())) {
    if (Date.now() > deadlineMs) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function follow(redis: Redis, port: number): Promise<void> {
  await redis.replicaof('127.0.0.1', port);
  await saysOfReplication(redis, 'master_link_status:up');
  // Before its new append-only file is there, a server does not end when it is told to.
  await untilSo('no file is being written', async () => {
    const said = await redis.info('persistence');
    return said.includes('aof_rewrite_in_progress:0') && said.includes('aof_rewrite_scheduled:0');
  });
}

/** The server's data become those of the one at `port`; then it is a master again. */
async function copyFrom(server: RedisServer, port: number): Promise<void> {
  await admin(server, async (redis) => {
    await follow(redis, port);
    await redis.replicaof('NO', 'ONE');
  });
}

async function isMarkedDurable(server: RedisServer, password = ''): Promise<boolean> {
  const mark = await admin(server, (redis) => redis.hget(leaseKey('lockstep:', VM), 'durable'), password);
  return mark === '1';
}

async function admin<T>(server: RedisServer, use: (redis: Redis) => Promise<T>, password = ''): Promise<T> {
  const redis = new Redis({ path: server.socketPath, replyMapping: 'legacy', password });
  try {
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}

async function withServer(
  options: RedisServerOptions,
  use: (server: RedisServer) => Promise<void>,
): Promise<void> {
  const server = await RedisServer.start(options);
  try {
    await use(server);
  } finally {
    await server.close();
  }
}

async function withLease(options: LeaseOptions, use: (lease: RedisLease) => Promise<void>): Promise<void> {
  const lease = await upLease(options);
  try {
    await use(lease);
  } finally {
    lease.close();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

leaseContract('redis-server', contractStore);

describe('lease on redis-server: faults of the way', function () {
  this.timeout(20_000);

  it('a stopped server is UNKNOWN in bounded time, its answer comes later, and a retry is right', () =>
    withServer({ durable: false }, (server) =>
      withLease({ vm: VM, socketPath: server.socketPath, callTimeoutMs: 100 }, async (lease) => {
        await lease.ask(FOUND);
        await armIn(lease, ARM);
        const down = once(lease, 'down');
        server.signal('SIGSTOP');
        expect(wordOf(await lease.ask(CLAIM))).to.equal('unknown timeout');
        await down;
        expect(wordOf(await lease.ask(CLAIM))).to.equal('unknown unreachable');
        const up = once(lease, 'up');
        server.signal('SIGCONT');
        await up;
        expect(wordOf(await lease.ask(CLAIM))).to.equal('won');
      }),
    ));

  it('tells a trouble once, and again after it was gone', () =>
    withServer({ durable: false }, (server) =>
      withLease({ vm: VM, socketPath: server.socketPath }, async (lease) => {
        const told: string[] = [];
        lease.on('trouble', (reason) => told.push(reason));
        await lease.ask(CLAIM);
        await lease.ask(CLAIM);
        expect(told).to.deep.equal(['missing']);
        await lease.ask(PEEK);
        await lease.ask(CLAIM);
        expect(told).to.deep.equal(['missing', 'missing']);
      }),
    ));

  it('a server that ends is UNKNOWN, calls are not queued', () =>
    withServer({ durable: false }, (server) =>
      withLease({ vm: VM, socketPath: server.socketPath }, async (lease) => {
        await lease.ask(FOUND);
        const down = once(lease, 'down');
        await server.end(true);
        await down;
        expect(wordOf(await lease.ask(PEEK))).to.equal('unknown unreachable');
        expect(lease.isUp).to.equal(false);
      }),
    ));

  it('refuses a flood of calls instead of queueing it', () =>
    withServer({ durable: false }, (server) =>
      withLease({ vm: VM, socketPath: server.socketPath }, async (lease) => {
        const words = (await Promise.all(Array.from({ length: 20 }, () => lease.ask(PEEK)))).map(wordOf);
        expect(words.filter((word) => word === 'missing')).to.have.length(8);
        expect(words.filter((word) => word === 'unknown timeout')).to.have.length(12);
      }),
    ));

  it('a closed lease answers UNKNOWN, and closes twice', () =>
    withServer({ durable: false }, async (server) => {
      const lease = await upLease({ vm: VM, socketPath: server.socketPath });
      lease.close();
      lease.close();
      expect(wordOf(await lease.ask(PEEK))).to.equal('unknown unreachable');
    }));
});

describe('lease on redis-server: a server that was demoted behind an address', function () {
  this.timeout(20_000);

  /** Two servers of which the second, at `port`, has the first one's data; the lease is asked by an address that moves. */
  async function afterDemotion(
    demote: (redis: Redis, port: number) => Promise<unknown>,
    use: (lease: RedisLease, address: MovingAddress, promoted: RedisServer) => Promise<void>,
  ): Promise<void> {
    const ports = [await freePort(), await freePort()] as const;
    const at = (port: number): RedisServerOptions => ({
      durable: false,
      extraArgs: ['--port', String(port), ...QUICK_SYNC],
    });
    await withServer(at(ports[0]), (first) =>
      withServer(at(ports[1]), async (second) => {
        const address = new MovingAddress(first.dir);
        await address.moveTo(first);
        await withLease({ vm: VM, socketPath: address.socketPath }, async (lease) => {
          await lease.ask(FOUND);
          await copyFrom(second, ports[0]);
          await admin(first, (redis) => demote(redis, ports[1]));
          await use(lease, address, second);
        });
      }),
    );
  }

  const beReplica = (redis: Redis, port: number): Promise<unknown> => redis.replicaof('127.0.0.1', port);
  const beOrphan = async (redis: Redis): Promise<void> => {
    await redis.config('SET', 'replica-serve-stale-data', 'no');
    await redis.replicaof('127.0.0.1', await freePort());
  };

  for (const [what, demote] of [
    ['a replica', beReplica],
    ['a replica without its master', beOrphan],
  ] as const) {
    it(`${what} is UNKNOWN, and the next connection goes to where the address is then`, () =>
      afterDemotion(demote, async (lease, address, promoted) => {
        await address.moveTo(promoted);
        const up = once(lease, 'up');
        expect(wordOf(await lease.ask(PEEK))).to.equal('unknown readOnly');
        await up;
        expect(wordOf(await armIn(lease, ARM))).to.equal('ok');
        expect(wordOf(await lease.ask(CLAIM))).to.equal('won');
      }));
  }

  it('while it stays with a server that cannot answer, connections are made in growing distances', async () => {
    const minMs = 10;
    const loading = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (data) => {
        const commands = data.toString('latin1').match(/\*\d+\r\n/g) ?? [];
        socket.write('-LOADING it reads its files\r\n'.repeat(commands.length));
      });
    }).listen(0, '127.0.0.1');
    await once(loading, 'listening');
    const { port } = loading.address() as AddressInfo;
    const began = performance.now();
    const lease = new RedisLease({ vm: VM, port, reconnectMinMs: minMs, reconnectMaxMs: 10_000 });
    try {
      for (let n = 1; n <= 6; n += 1) await once(loading, 'connection');
      expect(performance.now() - began).to.be.above(minMs * (1 + 2 + 4 + 8 + 16) * 0.9);
    } finally {
      lease.close();
      loading.close();
    }
  });
});

describe('lease on redis-server: what the server is', function () {
  this.timeout(20_000);

  it('a durable server marks the record, any other does not', async () => {
    for (const durable of [true, false]) {
      await withServer({ durable }, (server) =>
        withLease({ vm: VM, socketPath: server.socketPath }, async (lease) => {
          await lease.ask(FOUND);
          expect(await isMarkedDurable(server)).to.equal(durable);
        }),
      );
    }
  });

  it('a server that stops syncing after arm is not believed', () =>
    withServer({ durable: true }, (server) =>
      withLease({ vm: VM, socketPath: server.socketPath }, async (lease) => {
        await lease.ask(FOUND);
        await armIn(lease, ARM);
        await admin(server, (redis) => redis.config('SET', 'appendfsync', 'everysec'));
        expect(wordOf(await lease.ask(CLAIM))).to.equal('unknown notDurable');
        expect(wordOf(await lease.ask(CLAIM))).to.equal('unknown notDurable');
        await admin(server, (redis) => redis.config('SET', 'appendfsync', 'always'));
        await lease.ask(PEEK);
        expect(wordOf(await lease.ask(CLAIM))).to.equal('won');
      }),
    ));

  it('a server that became durable only after arm is not believed when it restarts', () =>
    withServer(
      { durable: false, extraArgs: ['--appendonly', 'yes', '--appendfsync', 'everysec'] },
      (server) =>
        withLease({ vm: VM, socketPath: server.socketPath }, async (lease) => {
          await lease.ask(FOUND);
          await armIn(lease, ARM);
          const down = once(lease, 'down');
          await server.end(true);
          await down;
          const up = once(lease, 'up');
          await server.begin();
          await up;
          await admin(server, (redis) => redis.config('SET', 'appendfsync', 'always'));
          await lease.ask(PEEK);
          expect(wordOf(await lease.ask(CLAIM))).to.equal('unknown run');
        }),
    ));

  it("a server that took over another's older data, without a restart, is not believed", async () => {
    const port = await freePort();
    await withServer({ durable: false, extraArgs: QUICK_SYNC }, (a) =>
      withServer({ durable: false, extraArgs: ['--port', String(port), ...QUICK_SYNC] }, (b) =>
        withLease({ vm: VM, socketPath: a.socketPath }, async (lease) => {
          await lease.ask(FOUND);
          await armIn(lease, ARM);
          const key = leaseKey('lockstep:', VM);
          const armed = await admin(a, (redis) => redis.dumpBuffer(key));
          await admin(b, (redis) => redis.restore(key, 0, armed));
          expect(wordOf(await lease.ask({ ...CLAIM, nonce: P }))).to.equal('won');
          await copyFrom(a, port);
          const peeked = await lease.ask(PEEK);
          expect(peeked.op === 'peek' && peeked.result === 'present' && peeked.record.winner).to.equal(null);
          expect(wordOf(await lease.ask(CLAIM))).to.equal('unknown run');
        }),
      ),
    );
  });

  it('of a master and its replica, away at arm and promoted after it came back, only one has a winner', async () => {
    const port = await freePort();
    const key = leaseKey('lockstep:', VM);
    const options = { durable: true, extraArgs: ['--port', String(port), ...QUICK_SYNC] };
    await withServer(options, (master) =>
      withServer({ durable: true }, (replica) =>
        withLease({ vm: VM, socketPath: master.socketPath }, (primary) =>
          admin(master, (atMaster) =>
            admin(replica, async (atReplica) => {
              await primary.ask(FOUND);
              await follow(atReplica, port);
              await atReplica.replicaof('127.0.0.1', await freePort());
              await saysOfReplication(atMaster, 'connected_slaves:0');
              expect(wordOf(await armIn(primary, ARM))).to.equal('ok');
              expect(await isMarkedDurable(master)).to.equal(false);
              await follow(atReplica, port);
              await untilSo('armed there', async () => (await atReplica.hget(key, 'epoch')) === '2');
              await atReplica.replicaof('NO', 'ONE');
              await saysOfReplication(atMaster, 'connected_slaves:0');
              await withLease({ vm: VM, socketPath: replica.socketPath }, async (backup) => {
                expect(wordOf(await primary.ask({ ...CLAIM, nonce: P }))).to.equal('won');
                expect(wordOf(await backup.ask(CLAIM))).to.equal('unknown run');
              });
            }),
          ),
        ),
      ),
    );
  });

  it('a key of another shape is UNKNOWN', () =>
    withServer({ durable: false }, (server) =>
      withLease({ vm: VM, socketPath: server.socketPath }, async (lease) => {
        const key = leaseKey('lockstep:', VM);
        await admin(server, (redis) => redis.set(key, 'x'));
        expect(wordOf(await lease.ask(CLAIM))).to.equal('unknown storeError');
        await admin(server, async (redis) => {
          await redis.del(key);
          await redis.hset(key, { epoch: '2' });
        });
        expect(wordOf(await lease.ask(CLAIM))).to.equal('unknown damaged');
        expect(wordOf(await lease.ask(FOUND))).to.equal('unknown damaged');
        await admin(server, (redis) => redis.hset(key, { store: S, primary: P, epoch: '1e400' }));
        expect(wordOf(await lease.ask(PEEK))).to.equal('unknown damaged');
      }),
    ));

  it('keeps VMs apart that share one connection', () =>
    withServer({ durable: false }, (server) =>
      withLease({ vm: 'one', socketPath: server.socketPath }, async (lease) => {
        await lease.ask(FOUND);
        const [one, two] = [lease.of('one'), lease.of('two')];
        expect([wordOf(await one.ask(PEEK)), wordOf(await two.ask(PEEK))]).to.deep.equal([
          'present',
          'missing',
        ]);
        expect(await two.remove(null)).to.equal('ok');
        expect(wordOf(await lease.ask(PEEK))).to.equal('present');
        expect(await one.remove(null)).to.equal('ok');
        expect(wordOf(await lease.ask(PEEK))).to.equal('missing');
      }),
    ));

  it('keeps the VMs of one prefix apart', () =>
    withServer({ durable: false }, (server) =>
      withLease({ vm: 'one', socketPath: server.socketPath }, (one) =>
        withLease({ vm: 'two', socketPath: server.socketPath }, async (two) => {
          await one.ask(FOUND);
          expect(wordOf(await two.ask(PEEK))).to.equal('missing');
        }),
      ),
    ));
});

describe('lease on redis-server: a server that takes no writes', function () {
  this.timeout(20_000);

  function withArmed(use: (server: RedisServer, lease: RedisLease) => Promise<void>): Promise<void> {
    return withServer({ durable: false }, (server) =>
      withLease({ vm: VM, socketPath: server.socketPath }, async (lease) => {
        await lease.ask(FOUND);
        expect(wordOf(await armIn(lease, ARM))).to.equal('ok');
        await use(server, lease);
      }),
    );
  }

  it('at its bound of memory carries out a claim all the same, and says so at a look', () =>
    withArmed(async (server, lease) => {
      await admin(server, async (redis) => {
        await redis.config('SET', 'maxmemory-policy', 'noeviction');
        await redis.config('SET', 'maxmemory', '1');
        const refusal = await redis.set('other', '1').catch((error: unknown) => String(error));
        expect(refusal).to.match(/OOM/);
      });
      expect(wordOf(await lease.ask(PEEK))).to.equal('present');
      expect(wordOf(await lease.ask(CLAIM))).to.equal('won');
      expect(wordOf(await armIn(lease, { ...ARM, epoch: 3, primary: B, backup: P }))).to.equal('ok');
    }));

  it('whose disk is full refuses a look as it refuses a claim', () =>
    withArmed(async (server, lease) => {
      await admin(server, async (redis) => {
        await redis.config('SET', 'save', '3600 1');
        await mkdir(join(server.dir, 'dump.rdb')); // where the snapshot should go
        await redis.bgsave();
        await untilSo('the snapshot fails', async () =>
          (await redis.info('persistence')).includes('rdb_last_bgsave_status:err'),
        );
      });
      expect(wordOf(await lease.ask(PEEK))).to.equal('unknown diskError');
      expect(wordOf(await lease.ask(CLAIM))).to.equal('unknown diskError');
      await admin(server, (redis) => redis.config('SET', 'save', '')); // else it would not end before it has saved
      await rm(join(server.dir, 'dump.rdb'), { recursive: true });
    }));

  it('that lacks replicas which it must have refuses a look as it refuses a claim', () =>
    withArmed(async (server, lease) => {
      await admin(server, (redis) => redis.config('SET', 'min-replicas-to-write', '1'));
      expect(wordOf(await lease.ask(PEEK))).to.equal('unknown readOnly');
      expect(wordOf(await lease.ask(CLAIM))).to.equal('unknown readOnly');
    }));

  for (const right of ['-hset', '-eval -evalsha']) {
    it(`or not from this user (${right}) refuses a look as it refuses a claim`, () =>
      withArmed(async (server, lease) => {
        await admin(server, (redis) => redis.acl('SETUSER', 'default', ...right.split(' ')));
        expect(wordOf(await lease.ask(PEEK))).to.equal('unknown notAllowed');
        expect(wordOf(await lease.ask(CLAIM))).to.equal('unknown notAllowed');
      }));
  }
});

const ACL = '>secret ~lockstep:* resetchannels -@all +evalsha +eval +info +exists +hmget +hset +del';

describe('lease on redis-server: AUTH, ACL, TLS', function () {
  this.timeout(20_000);

  function aclServer(more: string): RedisServerOptions {
    const users = `--user lockstep on ${ACL} ${more} --user default on >admin ~* &* +@all`;
    return { durable: true, extraArgs: users.split(' ').filter((word) => word !== '') };
  }

  it('works with the least ACL', () =>
    withServer(aclServer('+config|get'), (server) =>
      withLease(
        { vm: VM, socketPath: server.socketPath, username: 'lockstep', password: 'secret' },
        async (lease) => {
          expect(wordOf(await lease.ask(FOUND))).to.equal('ok');
          expect(await isMarkedDurable(server, 'admin')).to.equal(true);
          expect(wordOf(await lease.ask({ op: 'refound', expectEpoch: 1, nonce: P }))).to.equal('ok');
          expect(wordOf(await armIn(lease, { ...ARM, epoch: 3 }))).to.equal('ok');
          expect(wordOf(await lease.ask({ ...CLAIM, epoch: 3 }))).to.equal('won');
          expect(await lease.remove('0')).to.equal('foreignStore');
          expect(await lease.remove(S)).to.equal('ok');
          expect(await lease.remove(null)).to.equal('ok');
        },
      ),
    ));

  it('what was answered survives SIGKILL, also when the default user may do nothing', () => {
    // Redis 7.0 reads its append-only file back as the default user, and refuses transactions that it may not run.
    const users = `--user lockstep on ${ACL} +config|get --user default on nopass -@all +ping`;
    return withServer({ durable: true, extraArgs: users.split(' ') }, (server) =>
      withLease(
        { vm: VM, socketPath: server.socketPath, username: 'lockstep', password: 'secret' },
        async (lease) => {
          expect(wordOf(await lease.ask(FOUND))).to.equal('ok');
          expect(wordOf(await armIn(lease, ARM))).to.equal('ok');
          const down = once(lease, 'down');
          const up = down.then(() => once(lease, 'up'));
          server.signal('SIGKILL');
          await down;
          await server.end(true);
          await server.begin();
          await up;
          expect(wordOf(await lease.ask(CLAIM))).to.equal('won');
        },
      ),
    );
  });

  it('without config|get the server counts as not durable', () =>
    withServer(aclServer(''), (server) =>
      withLease(
        { vm: VM, socketPath: server.socketPath, username: 'lockstep', password: 'secret' },
        async (lease) => {
          expect(wordOf(await lease.ask(FOUND))).to.equal('ok');
          expect(await isMarkedDurable(server, 'admin')).to.equal(false);
        },
      ),
    ));

  it('a server whose CONFIG was renamed away counts as not durable', () =>
    withServer({ durable: true, extraArgs: ['--rename-command', 'CONFIG', ''] }, (server) =>
      withLease({ vm: VM, socketPath: server.socketPath }, async (lease) => {
        expect(wordOf(await lease.ask(FOUND))).to.equal('ok');
        expect(await isMarkedDurable(server)).to.equal(false);
        expect(wordOf(await armIn(lease, ARM))).to.equal('ok');
        expect(wordOf(await lease.ask(CLAIM))).to.equal('won');
      }),
    ));

  it('a key outside the prefix is refused by the server and UNKNOWN here', () =>
    withServer(aclServer('+config|get'), async (server) => {
      const options = { vm: VM, socketPath: server.socketPath, username: 'lockstep', password: 'secret' };
      const lease = new RedisLease({ ...options, keyPrefix: 'other:' });
      try {
        await readyToRefuse(lease, 'unknown notAllowed', /NOPERM/);
      } finally {
        lease.close();
      }
    }));

  it('a wrong password is UNKNOWN, with the reason in words', () =>
    withServer(aclServer(''), async (server) => {
      const lease = new RedisLease({
        vm: VM,
        socketPath: server.socketPath,
        username: 'lockstep',
        password: 'no',
      });
      try {
        await readyToRefuse(lease, 'unknown wrongPassword', /WRONGPASS/);
      } finally {
        lease.close();
      }
    }));

  it('speaks mutual TLS, and to nobody whom its CA does not know', async () => {
    const ca = await makeCa('lease test');
    const other = await makeCa('other');
    const clientSide = await makeHostCertificate(ca, { commonName: 'sidecar', vms: [VM], dnsNames: [] });
    const mine = { cert: clientSide.certificatePem, key: clientSide.privateKeyPem, servername: 'localhost' };
    await withTlsServer(ca, async (port) => {
      const way = { vm: VM, host: '127.0.0.1', port };
      await withLease({ ...way, tls: { ...mine, ca: ca.certificatePem } }, async (lease) => {
        expect(wordOf(await lease.ask(FOUND))).to.equal('ok');
      });
      const refused = [
        { ...mine, ca: other.certificatePem },
        { ...mine, ca: ca.certificatePem, servername: 'elsewhere' },
        { ca: ca.certificatePem, servername: 'localhost' },
      ];
      for (const tls of refused) await expectRefusal({ ...way, tls });
    });
  });
});

async function expectRefusal(options: LeaseOptions): Promise<void> {
  const lease = new RedisLease(options);
  try {
    await readyToRefuse(lease, 'unknown unreachable', /certificate|altnames|alert|closed/i);
  } finally {
    lease.close();
  }
}

async function withTlsServer(ca: Pair, use: (port: number) => Promise<void>): Promise<void> {
  const pair = await makeHostCertificate(ca, { commonName: 'redis', vms: [], dnsNames: ['localhost'] });
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-redis-tls-'));
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
  try {
    const port = await freePort();
    const args = ['--tls-port', String(port), '--tls-auth-clients', 'yes'];
    args.push('--tls-ca-cert-file', await file('ca.pem', ca.certificatePem));
    args.push('--tls-cert-file', await file('cert.pem', pair.certificatePem));
    args.push('--tls-key-file', await file('key.pem', pair.privateKeyPem));
    await withServer({ durable: true, extraArgs: args }, () => use(port));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Asks until the answer is `word` for a reason that matches: the connection is tried again and again meanwhile. */
async function readyToRefuse(lease: RedisLease, word: string, detail: RegExp): Promise<void> {
  const deadlineMs = Date.now() + BOUND_MS * 2;
  let seen = '';
  lease.on('trouble', (_reason, text) => {
    seen = text;
  });
  for (;;) {
    const answer = await lease.ask(PEEK);
    expect(answer.result).to.equal('unknown');
    if (wordOf(answer) === word && detail.test(seen)) return;
    if (Date.now() > deadlineMs) throw new Error(`still ${wordOf(answer)}: ${seen}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
