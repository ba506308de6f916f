// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { request, type IncomingMessage, type Server } from 'node:http';
import { createConnection, type AddressInfo } from 'node:net';
import type { Numbers, Status } from '../protocol/status.js';
import { CONNECTIONS_MAX, json, serveHttp, text, type Routes } from './http.js';
import { Metrics, type MetricsSource } from './metrics.js';

const NUMBERS: Numbers = {
  produced: 4096,
  acked: 4000,
  consumed: 3000,
  lagMs: 250,
  pacePermille: 100,
  heldOutputs: 3,
  heldBytes: 300,
  keptDigests: 0,
  retainedOutputs: 2,
  retainedBytes: 120,
  heardAgeMs: 12,
};
const STATUS: Status = {
  role: 'primary',
  phase: 'protected',
  epoch: 7,
  nonce: 'a'.repeat(32),
  peer: 'b'.repeat(32),
  protection: { word: 'Protected' },
  lease: null,
};

function metricsOf(source: Partial<MetricsSource>): Metrics {
  const none: MetricsSource = {
    numbers: () => null,
    status: () => null,
    ring: () => ({ waits: 0, heldMs: 0 }),
    droppedIngress: () => 0,
  };
  return new Metrics({ vm: 'db1', host: 'h1' }, { ...none, ...source });
}

/** Value of the one sample of a metric, as Prometheus reads it. */
async function sample(metrics: Metrics, name: string): Promise<number> {
  const lines = (await metrics.registry.metrics()).split('\n');
  const line = lines.find((candidate) => candidate.startsWith(`${name}{`));
  if (line === undefined) throw new Error(`no ${name}`);
  expect(line).to.include('vm="db1"').and.to.include('host="h1"');
  return Number(line.slice(line.lastIndexOf(' ')));
}

describe('metrics', () => {
  it('say what the protocol says, in base units', async () => {
    const ring = (): { waits: number; heldMs: number } => ({ waits: 5, heldMs: 1500 });
    const droppedIngress = (): number => 11;
    const metrics = metricsOf({ numbers: () => NUMBERS, status: () => STATUS, ring, droppedIngress });
    const expected: Record<string, number> = {
      ftvm_lag_seconds: 0.25,
      ftvm_held_outputs: 3,
      ftvm_held_bytes: 300,
      ftvm_retained_outputs: 2,
      ftvm_pace_ratio: 0.1,
      ftvm_heard_age_seconds: 0.012,
      ftvm_log_position: 4096,
      ftvm_protected: 1,
      ftvm_epoch: 7,
      ftvm_primary: 1,
      ftvm_ring_waits_total: 5,
      ftvm_guest_held_seconds_total: 1.5,
      ftvm_dropped_ingress_total: 11,
    };
    // Read twice: what is counted elsewhere must not add up.
    for (const [name, value] of [...Object.entries(expected), ...Object.entries(expected)])
      expect(await sample(metrics, name), name).to.equal(value);
  });

  it('are there before the protocol has anything to say', async () => {
    expect(await sample(metricsOf({}), 'ftvm_protected')).to.equal(0);
    expect(await sample(metricsOf({}), 'ftvm_lag_seconds')).to.equal(0);
  });

  it('tell no age of a peer that is not there', async () => {
    let status: Status = { ...STATUS, peer: null };
    const metrics = metricsOf({ numbers: () => NUMBERS, status: () => status });
    const told = async (): Promise<string[]> =>
      (await metrics.registry.metrics())
        .split('\n')
        .filter((line) => line.startsWith('ftvm_heard_age_seconds'));
    expect(await told()).to.deep.equal([]);
    status = STATUS;
    expect(await sample(metrics, 'ftvm_heard_age_seconds')).to.equal(0.012);
    status = { ...STATUS, peer: null };
    expect(await told()).to.deep.equal([]);
  });

  it('that only grow are counters, by type and by name', async () => {
    for (const { name, type } of await metricsOf({}).registry.getMetricsAsJSON()) {
      if (name.startsWith('ftvm_sidecar_')) continue; // of Node
      expect(String(type) === 'counter', name).to.equal(name.endsWith('_total'));
    }
  });

  it('count the time without protection, of a primary only', async () => {
    let now = 0;
    const none: MetricsSource = {
      numbers: () => null,
      status: () => null,
      ring: () => ({ waits: 0, heldMs: 0 }),
      droppedIngress: () => 0,
    };
    const metrics = new Metrics({ vm: 'db1', host: 'h1' }, none, () => now);
    const alone: Status = {
      ...STATUS,
      protection: { word: 'Not Protected', state: 'Need Secondary VM', reason: 'lostConnection' },
    };
    const at = async (time: number, status: Status): Promise<number> => {
      now = time;
      metrics.statusChanged(status);
      return sample(metrics, 'ftvm_unprotected_seconds_total');
    };
    expect(await at(1000, { ...alone, role: 'backup' })).to.equal(0);
    expect(await at(2000, alone)).to.equal(0);
    expect(await at(5000, alone)).to.equal(3);
    expect(await at(6000, STATUS)).to.equal(4);
    expect(await at(9000, STATUS)).to.equal(4);
  });

  it('all carry the product prefix, and help', async () => {
    for (const metric of await metricsOf({}).registry.getMetricsAsJSON()) {
      expect(metric.name).to.match(/^ftvm_/);
      expect(metric.help).not.to.equal('');
    }
  });

  it('two sets do not meet', () => {
    expect(() => [metricsOf({}), metricsOf({})]).not.to.throw();
  });
});

async function withServer(routes: Routes, use: (port: number) => Promise<void>): Promise<void> {
  const server: Server = await serveHttp({ host: '127.0.0.1', port: 0 }, routes);
  try {
    await use((server.address() as AddressInfo).port);
  } finally {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  }
}

async function ask(
  port: number,
  method: string,
  path: string,
  body = '',
): Promise<{ status: number; type: string; body: string }> {
  const asked = request({ host: '127.0.0.1', port, method, path, agent: false });
  asked.end(body);
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return {
    status: response.statusCode ?? 0,
    type: response.headers['content-type'] ?? '',
    body: Buffer.concat(chunks).toString(),
  };
}

async function expectRefused(port: number): Promise<void> {
  const refused = await ask(port, 'GET', '/healthz').catch((caught: unknown) => caught);
  expect(refused).to.be.instanceOf(Error);
}

const ROUTES: Routes = {
  'GET /status': () => json({ a: 1 }),
  'GET /healthz': () => text('ok\n'),
  'POST /failover': () => Promise.resolve(json({ asked: true }, 202)),
  'GET /broken': () => Promise.reject(new Error('no luck')),
  'GET /throws': () => {
    throw new Error('no luck either');
  },
};

describe('HTTP', () => {
  it('answers by its table', () =>
    withServer(ROUTES, async (port) => {
      expect(await ask(port, 'GET', '/status')).to.deep.equal({
        status: 200,
        type: 'application/json',
        body: '{"a":1}\n',
      });
      expect(await ask(port, 'GET', '/healthz')).to.deep.equal({
        status: 200,
        type: 'text/plain',
        body: 'ok\n',
      });
      expect((await ask(port, 'POST', '/failover', 'x'.repeat(1000))).status).to.equal(202);
    }));

  it('anything else is 404 with what there is, a failure is 500 with why', () =>
    withServer(ROUTES, async (port) => {
      for (const [method, path] of [
        ['GET', '/none'],
        ['POST', '/status'],
        ['DELETE', '/'],
      ] as const) {
        const answer = await ask(port, method, path);
        expect(answer.status).to.equal(404);
        expect(answer.body).to.include('GET /status');
      }
      expect(await ask(port, 'GET', '/broken')).to.include({ status: 500, body: 'Error: no luck\n' });
      expect(await ask(port, 'GET', '/throws')).to.include({ status: 500, body: 'Error: no luck either\n' });
    }));

  it('answers soon, also when as many as are let in have connected and ask nothing', () =>
    withServer(ROUTES, async (port) => {
      const idle = Array.from({ length: CONNECTIONS_MAX }, () =>
        createConnection(port, '127.0.0.1').on('error', () => undefined),
      );
      await Promise.all(idle.map((socket) => once(socket, 'connect')));
      await expectRefused(port);
      await Promise.all(idle.map((socket) => once(socket.resume(), 'close')));
      expect((await ask(port, 'GET', '/healthz')).status).to.equal(200);
    })).timeout(10_000);

  it('rejects when its address is taken', () =>
    withServer(ROUTES, async (port) => {
      const error = await serveHttp({ host: '127.0.0.1', port }, ROUTES).catch((caught: unknown) => caught);
      expect((error as NodeJS.ErrnoException).code).to.equal('EADDRINUSE');
    }));
});

/** What a logger writes goes to stdout: of a process of its own, so that the test's stays clean. */
function logged(format: 'json' | 'readable'): string[] {
  const script = `
    const { makeLogger } = await import(${JSON.stringify(new URL('./log.js', import.meta.url).href)});
    let epoch = 1;
    const identity = { vm: 'db1', host: 'h1', nonce: '0123456789abcdef0123456789abcdef' };
    const logger = makeLogger(identity, { format: ${JSON.stringify(format)}, level: 'info' }, () => ({ epoch, role: 'backup' }));
    logger.info('going live', { reason: 'silence' });
    epoch = 2;
    logger.warn('careful');
    logger.debug('not shown');`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 10_000,
  });
  expect(stderr).to.equal('');
  return stdout.trimEnd().split('\n');
}

describe('log lines', function () {
  this.timeout(15_000);

  it('JSON: each carries vm, host, nonce, and the epoch and role of its moment', () => {
    const lines = logged('json').map((line) => JSON.parse(line) as Record<string, unknown>);
    const who = { vm: 'db1', host: 'h1', nonce: '01234567', role: 'backup' };
    expect(lines).to.have.length(2);
    expect(lines[0]).to.include({
      ...who,
      epoch: 1,
      level: 'info',
      message: 'going live',
      reason: 'silence',
    });
    expect(lines[1]).to.include({ ...who, epoch: 2, level: 'warn', message: 'careful' });
    expect(lines[0]?.['timestamp']).to.match(/^\d{4}-\d\d-\d\dT/);
  });

  it('readable: one line each, reason first', () => {
    const lines = logged('readable');
    expect(lines[0]).to.match(/^\S+Z info \[h1 backup epoch 1\] silence: going live$/);
    expect(lines[1]).to.match(/^\S+Z warn \[h1 backup epoch 2\] careful$/);
  });
});
