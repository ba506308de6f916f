// SPDX-License-Identifier: Apache-2.0
/**
 * The peer of QEMU's `-netdev stream`: a unix socket, each packet preceded by its length (u32, big-endian;
 * net/stream.c of QEMU). The socket is always read at once: a full one would make the guest wait.
 */
import { unlinkSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';

/** What QEMU itself takes at most: NET_BUFSIZE in its include/net/net.h, 4096 + 65536. */
export const PACKET_BYTES_MAX = 69_632;
const LENGTH_BYTES = 4;

/** Towards the guest: beyond this QEMU is not reading, and packets are dropped as a switch would. */
export const INGRESS_QUEUE_BYTES_MAX = 4 * 1024 * 1024;

export class NetdevError extends Error {
  readonly code = 'LOCKSTEP_NETDEV';
}

/** Cuts a stream into packets. Holds at most one packet's bytes besides what it was just given. */
export class PacketReader {
  private rest: Buffer = Buffer.alloc(0);

  /** @param onPacket gets a view of the given bytes, valid as long as nobody changes them. */
  constructor(private readonly onPacket: (packet: Buffer) => void) {}

  /** @throws NetdevError for a length that QEMU cannot have sent. */
  push(bytes: Buffer): void {
    const all = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    let at = 0;
    while (all.length - at >= LENGTH_BYTES) {
      const length = all.readUInt32BE(at);
      if (length > PACKET_BYTES_MAX) {
        throw new NetdevError(`a packet of ${String(length)} bytes on the NIC's socket: not QEMU's framing`);
      }
      if (all.length - at < LENGTH_BYTES + length) break;
      this.onPacket(all.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + length));
      at += LENGTH_BYTES + length;
    }
    this.rest = all.subarray(at);
  }
}

export interface NetdevListener {
  /** A packet that the guest sent. `index` counts them, 1 for the first of this QEMU. */
  readonly onPacket: (packet: Buffer, index: number) => void;
  readonly onError: (error: Error) => void;
}

/** Serves exactly one QEMU. */
export class Netdev {
  private socket: Socket | null = null;
  private frames = 0;
  private dropped = 0;

  private constructor(
    private readonly server: Server,
    private readonly listener: NetdevListener,
  ) {}

  /** Listens at `path`; a socket left there by an earlier life is replaced. */
  static async listen(path: string, listener: NetdevListener): Promise<Netdev> {
    try {
      unlinkSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    const server = createServer();
    const netdev = new Netdev(server, listener);
    server.on('connection', (socket) => {
      netdev.attach(socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    return netdev;
  }

  /** Packets for the guest that were dropped because QEMU did not read. */
  get droppedPackets(): number {
    return this.dropped;
  }

  /** Hands packets to the guest, all in one write. Returns how many were not dropped: the first so many. */
  send(packets: readonly Uint8Array[]): number {
    const { socket } = this;
    if (socket === null || socket.writableLength > INGRESS_QUEUE_BYTES_MAX) {
      this.dropped += packets.length;
      return 0;
    }
    socket.cork();
    for (const packet of packets) {
      const length = Buffer.allocUnsafe(LENGTH_BYTES);
      length.writeUInt32BE(packet.length);
      socket.write(length);
      socket.write(packet);
    }
    socket.uncork();
    return packets.length;
  }

  close(): void {
    this.socket?.destroy();
    this.server.close();
  }

  private attach(socket: Socket): void {
    if (this.socket !== null) {
      socket.destroy(); // QEMU connects once; anybody else is not ours
      return;
    }
    this.socket = socket;
    const reader = new PacketReader((packet) => {
      this.frames += 1;
      this.listener.onPacket(packet, this.frames);
    });
    socket.on('data', (bytes: Buffer) => {
      try {
        reader.push(bytes);
      } catch (error) {
        socket.destroy();
        this.listener.onError(error as Error);
      }
    });
    socket.on('error', (error) => {
      this.listener.onError(error);
    });
  }
}
