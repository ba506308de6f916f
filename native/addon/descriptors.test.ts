// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { createConnection } from 'node:net';
import {
  AddonError,
  acceptUnix,
  FDS_MAX,
  listenUnix,
  monotonicNs,
  peerPid,
  probeTun,
  probeUserfaultfd,
  recvFds,
  sendFds,
  socketPair,
  unsentBytes,
} from './index.js';
import { codeOf, ScratchFolder } from './test/fake-shim.js';

async function codeOfPromise(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof AddonError ? error.code : String(error)),
  );
}

describe('descriptors', function () {
  this.timeout(20_000);
  const scratch = new ScratchFolder();
  let pair: [number, number];

  beforeEach(() => {
    pair = socketPair();
  });

  afterEach(() => {
    for (const fd of pair) closeSync(fd);
  });

  after(() => {
    scratch.remove();
  });

  function openFds(): number {
    return readdirSync('/proc/self/fd').length;
  }

  it('arrive as copies of the same open file, with their data', async () => {
    const path = scratch.file('sent');
    writeFileSync(path, 'content');
    const fd = openSync(path, 'r');
    const inode = fstatSync(fd).ino;
    expect(sendFds(pair[0], [fd, fd], Buffer.from('two'))).to.equal(3);
    closeSync(fd);
    const received = await recvFds(pair[1], { bytesMax: 100, timeoutMs: 1000 });
    expect(received.data.toString()).to.equal('two');
    expect(received.fds).to.have.length(2);
    for (const copy of received.fds) expect(fstatSync(copy).ino).to.equal(inode);
    expect(readFileSync(received.fds[0] ?? -1, 'utf8')).to.equal('content');
    for (const copy of received.fds) closeSync(copy);
  });

  it('are waited for off the main thread', async () => {
    const receiving = recvFds(pair[1], { bytesMax: 1, timeoutMs: 5000 });
    await new Promise((resolve) => setImmediate(resolve));
    sendFds(pair[0], [pair[0]], Buffer.of(7));
    const received = await receiving;
    expect([...received.data]).to.deep.equal([7]);
    for (const fd of received.fds) closeSync(fd);
  });

  it('time out, end, and fail by name', async () => {
    expect(await codeOfPromise(recvFds(pair[1], { bytesMax: 1, timeoutMs: 1 }))).to.equal('FDS_TIMEOUT');
    expect(await codeOfPromise(recvFds(9999, { bytesMax: 1, timeoutMs: 1 }))).to.equal('SYSTEM');
    closeSync(pair[0]);
    const ended = await recvFds(pair[1], { bytesMax: 1, timeoutMs: 1000 });
    expect(ended.data).to.have.length(0);
    expect(codeOf(() => sendFds(pair[1], [pair[1]], Buffer.of(1)))).to.equal('SYSTEM');
    pair[0] = socketPair()[0];
  });

  it('refuse nonsense', async () => {
    for (const call of [
      () => sendFds(-1, [0], Buffer.of(1)),
      () => sendFds(pair[0], [], Buffer.of(1)),
      () => sendFds(pair[0], [0], Buffer.alloc(0)),
      () => sendFds(pair[0], [-1], Buffer.of(1)),
      () => sendFds(pair[0], Array<number>(FDS_MAX + 1).fill(0), Buffer.of(1)),
    ])
      expect(codeOf(call)).to.equal('INVALID_ARGUMENT');
    for (const options of [
      { bytesMax: 0, timeoutMs: 1 },
      { bytesMax: 1, timeoutMs: -1 },
      { bytesMax: 1, timeoutMs: 1e9 },
    ])
      expect(await codeOfPromise(recvFds(pair[1], options))).to.equal('INVALID_ARGUMENT');
  });

  it('leave none behind', async () => {
    const most = Array<number>(FDS_MAX).fill(pair[0]);
    const before = openFds();
    for (let i = 0; i < 100; i++) {
      sendFds(pair[0], most, Buffer.of(1));
      const { fds } = await recvFds(pair[1], { bytesMax: 1, timeoutMs: 1000 });
      expect(fds).to.have.length(FDS_MAX);
      for (const fd of fds) closeSync(fd);
    }
    expect(openFds()).to.equal(before);
  });

  it('of a connection come from a listener', async () => {
    const path = scratch.file('listener');
    const listener = listenUnix(path);
    expect(codeOf(() => listenUnix(path))).to.equal('SYSTEM');
    expect(await codeOfPromise(acceptUnix(listener, 1))).to.equal('FDS_TIMEOUT');
    const accepting = acceptUnix(listener, 5000);
    const client = createConnection(path);
    const connection = await accepting;
    expect(peerPid(connection)).to.equal(process.pid);
    writeSync(connection, 'hello');
    closeSync(connection);
    const [hello] = (await once(client, 'data')) as [Buffer];
    expect(hello.toString()).to.equal('hello');
    client.destroy();
    closeSync(listener);
    expect(codeOf(() => listenUnix('/' + 'x'.repeat(200)))).to.equal('SYSTEM');
    expect(await codeOfPromise(acceptUnix(listener, -1))).to.equal('INVALID_ARGUMENT');
  });

  it('tell how much of a socket was not taken yet', () => {
    expect(unsentBytes(pair[0])).to.equal(0);
    writeSync(pair[0], Buffer.alloc(1000));
    expect(unsentBytes(pair[0])).to.be.at.least(1000);
    expect(codeOf(() => unsentBytes(9999))).to.equal('SYSTEM');
    expect(codeOf(() => peerPid(9999))).to.equal('SYSTEM');
  });
});

describe('probes', () => {
  it('say whether this machine is able, and if not what to do', () => {
    for (const { error } of [probeUserfaultfd(), probeTun()]) {
      if (error === null) continue;
      expect(error).to.be.instanceOf(AddonError);
      expect(error.message).to.match(/root|sysctl|modprobe|kernel|container/);
    }
  });

  it('give back what they used', () => {
    const before = readdirSync('/proc/self/fd').length;
    for (let i = 0; i < 50; i++) {
      probeUserfaultfd();
      probeTun();
    }
    expect(readdirSync('/proc/self/fd').length).to.equal(before);
  });
});

describe('monotonicNs', () => {
  it('is CLOCK_MONOTONIC', () => {
    const uptimeNs = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1e9;
    // Both count from boot; they differ by time spent suspended only.
    expect(Number(monotonicNs())).to.be.at.most(uptimeNs + 1e9);
    const first = monotonicNs();
    expect(monotonicNs() >= first).to.be.true;
  });
});
