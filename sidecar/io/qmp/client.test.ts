// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Qmp } from './client.js';
import { QmpError } from './errors.js';
import { LineSplitter } from './lines.js';
import { parseMessage } from './messages.js';

const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "x"}, "capabilities": []}}\r\n';
const BOUND_MS = 10_000;

async function withDir(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-qmp-'));
  try {
    await use(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function withQemu(use: (client: Qmp, pid: number) => Promise<void>): Promise<void> {
  await withDir(async (dir) => {
    const path = join(dir, 'qmp');
    const qmp = ['-qmp', `unix:${path},server=on,wait=off`];
    const qemu = spawn('qemu-system-x86_64', ['-M', 'none', '-display', 'none', '-nodefaults', ...qmp], {
      stdio: 'ignore',
    });
    const ended = once(qemu, 'exit');
    try {
      const client = await Qmp.connect(path, BOUND_MS);
      if (qemu.pid === undefined) throw new Error('QEMU without a pid');
      await use(client, qemu.pid);
      client.close();
    } finally {
      qemu.kill('SIGCONT');
      qemu.kill('SIGKILL');
      await ended;
    }
  });
}

/** A peer that greets, accepts capabilities, and then does what the test says with each further line. */
async function withPeer(
  onLine: (socket: Socket, line: string) => void,
  use: (connect: (timeoutMs?: number, lineBytesMax?: number) => Promise<Qmp>) => Promise<void>,
  greeting = GREETING,
): Promise<void> {
  await withDir(async (dir) => {
    const path = join(dir, 'qmp');
    const server = createServer((socket) => greetAndServe(socket, greeting, onLine)).listen(path);
    await once(server, 'listening');
    const clients: Qmp[] = [];
    try {
      await use(async (timeoutMs = BOUND_MS, lineBytesMax?: number) => {
        const client = await Qmp.connect(path, timeoutMs, lineBytesMax);
        clients.push(client);
        return client;
      });
    } finally {
      for (const client of clients) client.close();
      await closeServer(server);
    }
  });
}

function greetAndServe(
  socket: Socket,
  greeting: string,
  onLine: (socket: Socket, line: string) => void,
): void {
  const lines = new LineSplitter(65536);
  socket.on('error', () => undefined);
  socket.write(greeting);
  socket.on('data', (chunk) => {
    for (const line of lines.push(chunk)) {
      if (line.includes('qmp_capabilities')) socket.write('{"return": {}, "id": 1}\r\n');
      else onLine(socket, line);
    }
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

async function errorOf(attempt: Promise<unknown>): Promise<QmpError> {
  const error = await attempt.then(
    () => null,
    (caught: unknown) => caught,
  );
  if (error instanceof QmpError) return error;
  throw new Error(`not a QmpError: ${String(error)}`);
}

describe('QMP against QEMU', function () {
  this.timeout(30_000);

  it('greets, answers, refuses in its own words, and tells events', () =>
    withQemu(async (client) => {
      expect(client.version.major).to.be.greaterThan(4);
      expect(await client.execute('query-status')).to.include({ running: true });
      const unknown = await errorOf(client.execute('no-such-command'));
      expect([unknown.code, unknown.qemuClass]).to.deep.equal(['QMP_ERROR', 'CommandNotFound']);
      const stopped = client.waitFor('STOP', BOUND_MS);
      await client.execute('stop');
      expect(await stopped).to.deep.equal({});
      const schema = await client.execute('query-qmp-schema');
      expect(schema).to.be.an('array').with.length.greaterThan(100);
    }));

  it('a QEMU that stands still is a time-out, its late answer disturbs nothing', () =>
    withQemu(async (client, pid) => {
      process.kill(pid, 'SIGSTOP');
      expect((await errorOf(client.execute('query-status', {}, 50))).code).to.equal('QMP_TIMEOUT');
      process.kill(pid, 'SIGCONT');
      expect(await client.execute('query-name')).to.deep.equal({});
    }));

  it('a QEMU that is killed rejects all that waits', () =>
    withQemu(async (client, pid) => {
      const closed = once(client, 'close');
      process.kill(pid, 'SIGSTOP');
      const waiting = [client.execute('query-status'), client.waitFor('STOP', BOUND_MS)].map(errorOf);
      process.kill(pid, 'SIGKILL');
      expect((await Promise.all(waiting)).map((error) => error.code)).to.deep.equal([
        'QMP_CLOSED',
        'QMP_CLOSED',
      ]);
      await closed;
      expect(client.isClosed).to.equal(true);
      expect((await errorOf(client.execute('query-status'))).code).to.equal('QMP_CLOSED');
    }));

  it('quit is answered before the connection ends', () =>
    withQemu(async (client) => {
      const closed = once(client, 'close');
      expect(await client.execute('quit')).to.deep.equal({});
      await closed;
    }));
});

describe('QMP against bad peers', () => {
  it('nobody there: QMP_UNREACHABLE', () =>
    withDir(async (dir) => {
      expect((await errorOf(Qmp.connect(join(dir, 'none'), 30))).code).to.equal('QMP_UNREACHABLE');
    }));

  it('a silent one: QMP_TIMEOUT', () =>
    withPeer(
      () => undefined,
      async (connect) => {
        expect((await errorOf(connect(30))).code).to.equal('QMP_TIMEOUT');
      },
      '',
    ));

  it('one that does not speak QMP: QMP_MALFORMED', () =>
    withPeer(
      () => undefined,
      async (connect) => {
        expect((await errorOf(connect())).code).to.equal('QMP_MALFORMED');
      },
      'HTTP/1.1 400 Bad Request\r\n',
    ));

  const garbage = [
    '{}\n',
    '[]\n',
    '7\n',
    '{"return": {}}\n',
    '{"error": 1, "id": 2}\n',
    '{"event": 1}\n',
    'x\n',
    '\n',
  ];
  for (const text of garbage) {
    it(`${JSON.stringify(text)}: QMP_MALFORMED, and closed`, () =>
      withPeer(
        (socket) => socket.write(text),
        async (connect) => {
          const client = await connect();
          expect((await errorOf(client.execute('query-status'))).code).to.equal('QMP_MALFORMED');
          expect(client.isClosed).to.equal(true);
        },
      ));
  }

  it('a line without end: QMP_MALFORMED in bounded memory', () =>
    withPeer(
      (socket) => socket.write('x'.repeat(100_000)),
      async (connect) => {
        const client = await connect(BOUND_MS, 65536);
        expect((await errorOf(client.execute('query-status'))).code).to.equal('QMP_MALFORMED');
      },
    ));

  it('answers in another order, in pieces, between events', () =>
    withPeer(
      (socket, line) => {
        if (!line.includes('second')) return;
        socket.write('{"return": 2, "id": 3}\r\n{"event": "E", "timestamp": {"seconds": 1, "micro');
        socket.write(
          'seconds": 2}, "data": {"a": 1}}\r\n{"return": 1, "id": 2}\r\n{"return": 9, "id": 77}\r\n',
        );
      },
      async (connect) => {
        const client = await connect();
        const event = client.waitFor('E', BOUND_MS);
        const answers = [client.execute('first'), client.execute('second')];
        expect(await Promise.all(answers)).to.deep.equal([1, 2]);
        expect(await event).to.deep.equal({ a: 1 });
      },
    ));

  it('more commands than it takes are refused', () =>
    withPeer(
      () => undefined,
      async (connect) => {
        const client = await connect();
        const waiting = Array.from({ length: 65 }, () => errorOf(client.execute('query-status')));
        const last = await waiting.at(-1);
        expect(last?.message).to.include('64 commands wait');
        client.close();
        client.close();
        expect((await Promise.all(waiting.slice(0, 64))).every(({ code }) => code === 'QMP_CLOSED')).to.equal(
          true,
        );
      },
    ));

  it('an event that does not come: QMP_TIMEOUT', () =>
    withPeer(
      () => undefined,
      async (connect) => {
        const client = await connect();
        expect((await errorOf(client.waitFor('NEVER', 20))).code).to.equal('QMP_TIMEOUT');
      },
    ));
});

describe('QMP parsing', () => {
  it('any bytes are a message or a QMP_MALFORMED error', () => {
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .dictionary(fc.constantFrom('return', 'error', 'event', 'id', 'QMP'), fc.jsonValue())
        .map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(text, (line) => {
        try {
          parseMessage(line);
        } catch (error) {
          expect(error).to.be.instanceOf(QmpError);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('lines come whole wherever the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[^\n]*$/)), fc.array(fc.nat(20)), (lines, sizes) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
        const splitter = new LineSplitter(1 << 20);
        const got: string[] = [];
        let at = 0;
        for (const size of [...sizes, bytes.length]) {
          got.push(...splitter.push(bytes.subarray(at, at + size)));
          at += size;
        }
        expect(got).to.deep.equal(lines.map((line) => Buffer.from(line).toString('utf8')));
      }),
    );
  });
});
