// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { INGRESS_QUEUE_BYTES_MAX, Netdev, NetdevError, PACKET_BYTES_MAX, PacketReader } from './netdev.js';

function framed(packets: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    packets.flatMap((packet) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(packet.length);
      return [length, packet];
    }),
  );
}

function cut(stream: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (const size of [...sizes, stream.length]) {
    chunks.push(stream.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

const packet = fc.uint8Array({ maxLength: 2000 });
const hexOf = (packets: readonly Uint8Array[]): string[] =>
  packets.map((p) => Buffer.from(p).toString('hex'));

describe('NIC stream: packets', () => {
  it('come whole wherever the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(packet), fc.array(fc.nat(3000)), (packets, sizes) => {
        const got: Buffer[] = [];
        const reader = new PacketReader((p) => got.push(Buffer.from(p)));
        for (const chunk of cut(framed(packets), sizes)) reader.push(chunk);
        expect(hexOf(got)).to.deep.equal(hexOf(packets));
      }),
    );
  });

  it('the longest is taken, a longer one is a named error before it is kept', () => {
    const got: number[] = [];
    const reader = new PacketReader((p) => got.push(p.length));
    reader.push(framed([Buffer.alloc(PACKET_BYTES_MAX)]));
    expect(got).to.deep.equal([PACKET_BYTES_MAX]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(PACKET_BYTES_MAX + 1);
    expect(() => reader.push(length)).to.throw(NetdevError);
  });

  it('arbitrary bytes are packets or a NetdevError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), fc.array(fc.nat(500)), (garbage, sizes) => {
        const reader = new PacketReader(() => undefined);
        try {
          for (const chunk of cut(Buffer.from(garbage), sizes)) reader.push(chunk);
        } catch (error) {
          expect(error).to.be.instanceOf(NetdevError);
        }
      }),
    );
  });
});

class Guest {
  readonly packets: string[] = [];
  readonly errors: Error[] = [];
  #wake: () => void = () => undefined;

  onPacket = (p: Buffer, index: number): void => {
    this.packets.push(`${index}:${p.toString('latin1')}`);
    this.#wake();
  };

  onError = (error: Error): void => {
    this.errors.push(error);
    this.#wake();
  };

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

async function withNetdev(use: (path: string, guest: Guest, netdev: Netdev) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-netdev-'));
  const path = join(dir, 'net');
  await writeFile(path, 'left by an earlier life');
  const guest = new Guest();
  const netdev = await Netdev.listen(path, guest);
  try {
    await use(path, guest, netdev);
  } finally {
    netdev.close();
    await rm(dir, { recursive: true, force: true });
  }
}

async function connected(path: string): Promise<Socket> {
  const socket = createConnection(path);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** Connected, and known to be served: its first packet has arrived. */
async function asQemu(path: string, guest: Guest): Promise<Socket> {
  const socket = await connected(path);
  socket.write(framed([Buffer.from('hello')]));
  await guest.until(() => guest.packets.length === 1);
  return socket;
}

describe('NIC stream: server', function () {
  this.timeout(10_000);

  it("numbers the guest's packets from 1", () =>
    withNetdev(async (path, guest) => {
      const qemu = await asQemu(path, guest);
      qemu.write(framed([Buffer.from('a'), Buffer.from('b')]));
      await guest.until(() => guest.packets.length === 3);
      expect(guest.packets).to.deep.equal(['1:hello', '2:a', '3:b']);
      qemu.destroy();
    }));

  it('hands packets to the guest in order', () =>
    withNetdev(async (path, guest, netdev) => {
      const qemu = await asQemu(path, guest);
      const packets = [Buffer.from('x'), Buffer.alloc(1514, 7), Buffer.alloc(0)];
      const expected = framed(packets);
      expect(netdev.send(packets)).to.equal(3);
      const got: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of qemu) {
        got.push(chunk as Buffer);
        bytes += (chunk as Buffer).length;
        if (bytes >= expected.length) break;
      }
      expect(Buffer.concat(got).equals(expected)).to.equal(true);
      expect(netdev.droppedPackets).to.equal(0);
    }));

  it('serves one QEMU only', () =>
    withNetdev(async (path, guest) => {
      const qemu = await asQemu(path, guest);
      const second = await connected(path);
      second.resume();
      await once(second, 'close');
      qemu.write(framed([Buffer.from('still here')]));
      await guest.until(() => guest.packets.length === 2);
      qemu.destroy();
    }));

  it('garbage ends the connection with a named error', () =>
    withNetdev(async (path, guest) => {
      const qemu = await connected(path);
      qemu.write(Buffer.alloc(8, 0xff));
      await guest.until(() => guest.errors.length > 0);
      expect(guest.errors[0]).to.be.instanceOf(NetdevError);
      qemu.resume();
      if (!qemu.destroyed) await once(qemu, 'close');
    }));

  it('drops, and counts, when there is no QEMU or it does not read', () =>
    withNetdev(async (path, guest, netdev) => {
      expect(netdev.send([Buffer.from('early')])).to.equal(0);
      expect(netdev.droppedPackets).to.equal(1);
      const qemu = await asQemu(path, guest);
      const batch = Array.from({ length: 64 }, () => Buffer.alloc(16_384));
      const bytesPerBatch = 64 * 16_388;
      const rounds = Math.ceil(INGRESS_QUEUE_BYTES_MAX / bytesPerBatch) + 8;
      let taken = 0;
      for (let i = 0; i < rounds; i += 1) taken += netdev.send(batch);
      expect(netdev.droppedPackets).to.be.greaterThan(64);
      expect(taken + netdev.droppedPackets).to.equal(1 + rounds * batch.length);
      qemu.destroy();
    }));
});
