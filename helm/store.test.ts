// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { questionToStore } from '../operator/install/store.js';
import { STORE_POD_LABELS } from '../operator/names.js';
import { LEASE_DEFAULTS } from '../sidecar/io/lease/redis.js';
import { RedisServer } from '../sidecar/io/lease/redisServer.js';
import { DEFAULT_USER, LEASE_SERVER_SETTINGS, leaseUser } from '../sidecar/io/lease/server.js';
import { CHART, at, one, podsOf, render, valuesOf, type Helm, type Rendered } from './test/render.js';
import { chartTools } from './test/tools.js';

const TOOLS_MS_MAX = 10 * 60_000;

interface StoreData {
  readonly host: string;
  readonly port: string;
  readonly username: string;
  readonly password: string;
  readonly 'users.acl': string;
}

const secretOf = (objects: readonly Rendered[]): StoreData =>
  one(objects, 'Secret', 'lockstep-store')['stringData'] as StoreData;
const configOf = (objects: readonly Rendered[]): string =>
  at(one(objects, 'ConfigMap', 'lockstep-redis'), 'data', 'redis.conf') as string;
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('chart: lease store', function () {
  this.timeout(60_000);
  let helm: Helm;
  let objects: Rendered[];
  let everything: Rendered[];

  before(async function () {
    this.timeout(TOOLS_MS_MAX);
    helm = { program: (await chartTools()).helm };
    objects = await render(helm);
    everything = await render(helm, valuesOf('everything'));
  });

  it('has the settings that a lease needs, and a bound of memory that evicts nothing', () => {
    const lines = configOf(everything).split('\n');
    expect(lines).to.include.members([...LEASE_SERVER_SETTINGS]);
    expect(lines).to.include('maxmemory 128mb');
  });

  it('lets its user do what a lease needs and no more, in the words that all of Lockstep has', () => {
    const { username, password, ...secret } = secretOf(objects);
    const users = [DEFAULT_USER, leaseUser(username, `#${sha256(password)}`, LEASE_DEFAULTS.keyPrefix)];
    expect(secret['users.acl'].trim().split('\n')).to.deep.equal(users);
    expect(secret).to.include({ host: 'lockstep-redis.lockstep-system.svc', port: '6379' });
    const service = one(objects, 'Service', 'lockstep-redis');
    expect(at(service, 'spec', 'ports', 0, 'port')).to.equal(6379);
  });

  it('has pods that the sides of VMs know, so that they are rather elsewhere', () => {
    const labels = at(
      one(objects, 'StatefulSet', 'lockstep-redis'),
      'spec',
      'template',
      'metadata',
      'labels',
    );
    expect(labels).to.include(STORE_POD_LABELS);
  });

  it('tells the same words to those who bring their own', async () => {
    const values = await readFile(join(CHART, 'values.yaml'), 'utf8');
    expect(values).to.include(leaseUser('NAME', '>PASSWORD', LEASE_DEFAULTS.keyPrefix));
  });

  it('has a password of its own making, or the one that is given', async () => {
    const again = await render(helm);
    expect(secretOf(objects).password).to.match(/^[A-Za-z0-9]{40}$/);
    expect(secretOf(again).password).to.not.equal(secretOf(objects).password);
    expect(secretOf(everything).password).to.equal('a-password-from-a-vault');
  });

  it('has its Secret kept when the chart goes: sidecars that run know this password', () => {
    const { annotations } = one(objects, 'Secret', 'lockstep-store').metadata;
    expect(annotations).to.include({ 'helm.sh/resource-policy': 'keep' });
  });

  it('shows the password nowhere but in Secrets', () => {
    const { password } = secretOf(everything);
    for (const object of everything.filter(({ kind }) => kind !== 'Secret')) {
      const text = JSON.stringify(object);
      expect(text, `${object.kind} ${object.metadata.name}`).to.not.include(password);
      expect(text, `${object.kind} ${object.metadata.name}`).to.not.include(sha256(password));
    }
  });

  it('keeps its data on a claim', () => {
    const set = one(everything, 'StatefulSet', 'lockstep-redis');
    expect(at(set, 'spec', 'replicas')).to.equal(1);
    expect(at(set, 'spec', 'volumeClaimTemplates', 0, 'spec')).to.deep.equal({
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'fast',
      resources: { requests: { storage: '10Gi' } },
    });
    const [redis] =
      podsOf(everything).find(({ owner }) => owner === 'StatefulSet lockstep-redis')?.containers ?? [];
    expect(at(redis, 'volumeMounts')).to.deep.include({ name: 'data', mountPath: '/data' });
  });

  for (const variant of ['external-store', 'external-store-policies'] as const) {
    it(`is somebody else's when a Secret is named (${variant})`, async () => {
      const external = await render(helm, valuesOf(variant));
      expect(JSON.stringify(external)).to.not.match(/lockstep-redis|lockstep-store/);
      expect(external.map(({ kind }) => kind)).to.not.include.members(['StatefulSet', 'Secret']);
      const env = at(podsOf(external)[0], 'containers', 0, 'env');
      expect(env).to.deep.include({ name: 'STORE_SECRET', value: 'our-redis' });
    });
  }

  describe('a Redis that is started with these files', () => {
    let dir: string;
    let server: RedisServer;
    let secret: StoreData;

    before(async () => {
      dir = await mkdtemp(join(tmpdir(), 'lockstep-chart-redis-'));
      secret = secretOf(objects);
      await writeFile(join(dir, 'users.acl'), secret['users.acl']);
      // Its places are the pod's: all else is taken as it is.
      const own = /^(bind|port|dir|daemonize|aclfile) /;
      const args = configOf(objects)
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#') && !own.test(line))
        .flatMap((line) => {
          const [name = '', ...value] = line.split(' ');
          return [`--${name}`, value.join(' ').replaceAll('"', '')];
        });
      server = await RedisServer.start({
        durable: true,
        extraArgs: [...args, '--aclfile', join(dir, 'users.acl')],
      });
    });

    after(async () => {
      await server.close();
      await rm(dir, { recursive: true });
    });

    const connect = (options: object): Redis =>
      new Redis({ path: server.socketPath, lazyConnect: true, retryStrategy: () => null, ...options });

    it('keeps a lease', async () => {
      const { username, password } = secret;
      const options = () => Promise.resolve({ socketPath: server.socketPath, username, password });
      const question = questionToStore({ options, vm: 'chart-test', nonce: 'a'.repeat(32) });
      expect(await question.ask()).to.equal(null);
    });

    it('refuses the same with another password', async () => {
      const options = () =>
        Promise.resolve({ socketPath: server.socketPath, username: secret.username, password: 'wrong' });
      const question = questionToStore({ options, vm: 'chart-test', nonce: 'a'.repeat(32) });
      expect(await question.ask()).to.match(/WRONGPASS/);
    });

    it('refuses its user every other key, and what could destroy a lease', async () => {
      const redis = connect({
        username: secret.username,
        password: secret.password,
        enableReadyCheck: false,
      });
      for (const command of [
        ['hset', 'other:{vm}', 'a', 'b'],
        ['flushall'],
        ['keys', '*'],
        ['config', 'set', 'appendfsync', 'no'],
        ['shutdown'],
        ['acl', 'list'],
      ] as const) {
        const [name, ...args] = command;
        expect(await refusal(redis.call(name, args)), name).to.match(/^NOPERM/);
      }
      redis.disconnect();
    });

    it('lets everybody ask whether it is there, and no more', async () => {
      const redis = connect({ enableReadyCheck: false });
      expect(await redis.ping()).to.equal('PONG');
      expect(await refusal(redis.info())).to.match(/^NOPERM/);
      redis.disconnect();
    });
  });
});

async function refusal(answer: Promise<unknown>): Promise<string> {
  try {
    return `was allowed: ${String(await answer)}`;
  } catch (error) {
    return (error as Error).message;
  }
}
