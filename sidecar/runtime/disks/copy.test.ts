// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Image } from '../../io/disk/image.js';
import { CopyReceiver } from './copy-receiver.js';
import { CopySender } from './copy-sender.js';
import { Disk } from './disk.js';

const MIB = 1024 * 1024;

const HOOKS = {
  onRequest: () => undefined,
  onDone: () => undefined,
  onDiffers: () => undefined,
  onGone: () => undefined,
  isOurs: () => true,
};

describe('copy of disks', () => {
  let folder = '';
  const images: Image[] = [];
  const sockets: Socket[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lockstep-copy-'));
  });
  afterEach(() => {
    for (const image of images.splice(0)) image.close();
    for (const socket of sockets.splice(0)) socket.destroy();
    rmSync(folder, { recursive: true });
  });

  const at = (name: string): string => join(folder, name);

  function disk(name: string, contents: Buffer): Disk {
    writeFileSync(at(name), contents);
    const image = Image.open({ path: at(name), bytes: contents.length, isFilled: true });
    images.push(image);
    return new Disk({ id: name, socket: at(`${name}.sock`) }, image, HOOKS);
  }

  async function connection(): Promise<readonly [Socket, Socket]> {
    const server = createServer().listen(at('copy.sock'));
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = createConnection(at('copy.sock'));
    const [peer] = await accepted;
    server.close();
    sockets.push(client, peer);
    return [client.pause(), peer.pause()];
  }

  it('several disks arrive whole, holes as holes, and progress is told', async () => {
    const contents = [
      Buffer.concat([randomBytes(3 * MIB), Buffer.alloc(4 * MIB), randomBytes(MIB + 512)]),
      Buffer.alloc(2 * MIB),
    ];
    const from = contents.map((bytes, index) => disk(`from${String(index)}`, bytes));
    const to = contents.map((bytes, index) => disk(`to${String(index)}`, Buffer.alloc(bytes.length, 9)));
    for (const { image } of to) await image.clear();
    const told: number[] = [];
    const sender = new CopySender(from, {
      life: 5,
      bytesPerSecondMax: Infinity,
      onProgress: (bytes) => told.push(bytes),
    });
    const receiver = new CopyReceiver(to);
    const [one, other] = await connection();
    const sent = sender.run(one);
    await receiver.run(other);
    receiver.confirm();
    await sent;
    contents.forEach((bytes, index) => {
      expect(readFileSync(at(`to${String(index)}`)).equals(bytes)).to.equal(true);
    });
    expect(receiver.life).to.equal(5);
    expect(told.at(-1)).to.equal(sender.progress.totalBytes);
    expect(told).to.deep.equal([...told].sort((a, b) => a - b));
  });

  it('one that is given up, and one whose other end goes, end in an error', async () => {
    const from = disk('from', randomBytes(8 * MIB));
    const [one, other] = await connection();
    const sender = new CopySender([from], { life: 1, bytesPerSecondMax: MIB, onProgress: () => undefined });
    const sent = sender.run(one).catch((error: unknown) => (error as Error).message);
    sender.stop();
    expect(await sent).to.equal('given up');
    expect(other.destroyed).to.equal(false);
    const [two, end] = await connection();
    const again = new CopySender([from], { life: 1, bytesPerSecondMax: MIB, onProgress: () => undefined });
    const broken = again.run(two).catch((error: unknown) => (error as Error).message);
    end.destroy();
    expect(await broken).to.be.a('string');
  });
});
