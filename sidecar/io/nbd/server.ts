// SPDX-License-Identifier: Apache-2.0
/**
 * The NBD server of one disk, on a unix socket. One client has it at a time: QEMU, which connects once. Others wait until
 * that one has left, and who is not the disk's own QEMU is shown out unheard. Requests are handed on as they come; whoever
 * takes them answers each once, in any order.
 */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { peerPid } from '../../../native/addon/index.js';
import { UnixListener } from '../unix-listener.js';
import { greeting, Handshake, NbdError, type NbdExport } from './handshake.js';
import { replyHead, RequestReader, type NbdRequest, type Parsed } from './requests.js';

/** Who finds no room in the queue is refused, and would have to try again. */
const BACKLOG = 511;
/** Beyond this the client is not read from until something is answered. QEMU has 16 requests at most under way. */
export const REQUESTS_MAX = 64;
export const REQUEST_BYTES_MAX = 64 * 1024 * 1024;

export interface NbdListener {
  /** `id` names the request in `answer`. */
  readonly onRequest: (id: number, request: NbdRequest) => void;
  /** The client that had come to requests is gone. */
  readonly onGone: (detail: string) => void;
  /** May the process have the disk? Asked once for each that connects. */
  readonly isOurs: (pid: number) => boolean;
  /** Nobody can connect any more. */
  readonly onBroken: (error: Error) => void;
}

interface UnderWay {
  readonly client: Client;
  readonly cookie: bigint;
  readonly bytes: number;
}

interface Client {
  readonly socket: Socket;
  transmits: boolean;
}

/** Asked anew: the negotiation has changed it. */
const hasRequests = (client: Client): boolean => client.transmits;

export class NbdServer {
  private client: Client | null = null;
  private readonly underWay = new Map<number, UnderWay>();
  private bytesUnderWay = 0;
  private lastId = 0;

  private constructor(
    private readonly unix: UnixListener,
    private readonly offered: NbdExport,
    private readonly listener: NbdListener,
  ) {}

  /** Listens at `path`; a socket left there by an earlier life is replaced. @throws AddonError */
  static listen(path: string, offered: NbdExport, listener: NbdListener): NbdServer {
    const nbd = new NbdServer(UnixListener.open(path, BACKLOG), offered, listener);
    nbd.serve().catch((error: unknown) => {
      listener.onBroken(error as Error);
    });
    return nbd;
  }

  /** @param error of NBD; 0 with the data of a read */
  answer(id: number, error: number, data: Buffer | null = null): void {
    const request = this.underWay.get(id);
    if (request === undefined) return; // its client is gone
    this.underWay.delete(id);
    this.bytesUnderWay -= request.bytes;
    const { socket } = request.client;
    socket.cork();
    socket.write(replyHead(request.cookie, error));
    if (error === 0 && data !== null) socket.write(data);
    socket.uncork();
    if (!this.isFull) socket.resume();
  }

  close(): void {
    this.unix.close();
    this.client?.socket.destroy();
  }

  private get isFull(): boolean {
    return this.underWay.size >= REQUESTS_MAX || this.bytesUnderWay >= REQUEST_BYTES_MAX;
  }

  private async serve(): Promise<void> {
    for (let fd = await this.unix.accept(); fd !== null; fd = await this.unix.accept()) {
      if (this.listener.isOurs(peerPid(fd))) await this.attend(new Socket({ fd }));
      else closeSync(fd);
    }
  }

  /** Until it has left. */
  private async attend(socket: Socket): Promise<void> {
    const client: Client = { socket, transmits: false };
    this.client = client;
    socket.on('error', () => {
      socket.destroy();
    });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    this.converse(client);
    socket.write(greeting());
    await closed;
    this.gone(client);
  }

  private converse(client: Client): void {
    const handshake = new Handshake(this.offered);
    const reader = new RequestReader(this.offered.bytes, (parsed) => {
      this.take(client, parsed);
    });
    let rest: Buffer = Buffer.alloc(0);
    client.socket.on('data', (bytes: Buffer) => {
      try {
        if (client.transmits) {
          reader.push(bytes);
          return;
        }
        rest = this.negotiate(client, handshake, Buffer.concat([rest, bytes]));
        if (hasRequests(client)) reader.push(rest);
      } catch (error) {
        if (!(error instanceof NbdError)) throw error;
        client.socket.destroy();
      }
    });
  }

  /** Returns what it did not take. */
  private negotiate(client: Client, handshake: Handshake, bytes: Buffer): Buffer {
    let rest = bytes;
    while (!client.transmits && !client.socket.writableEnded) {
      const { step, taken } = handshake.next(rest);
      rest = rest.subarray(taken);
      if (step.type === 'more') break;
      if (step.type === 'close') client.socket.end(step.bytes);
      else if (step.bytes.length > 0) client.socket.write(step.bytes);
      client.transmits = step.type === 'transmit';
    }
    return rest;
  }

  private take(client: Client, parsed: Parsed): void {
    if (parsed.type === 'disconnect') {
      client.socket.end();
    } else if (parsed.type === 'refused') {
      client.socket.write(replyHead(parsed.cookie, parsed.error));
    } else {
      this.begin(client, parsed.request);
    }
  }

  private begin(client: Client, request: NbdRequest): void {
    this.lastId += 1;
    const { kind, length } = request.request;
    const bytes = kind === 'read' || kind === 'write' ? length : 0;
    this.underWay.set(this.lastId, { client, cookie: request.cookie, bytes });
    this.bytesUnderWay += bytes;
    if (this.isFull) client.socket.pause();
    this.listener.onRequest(this.lastId, request);
  }

  private gone(client: Client): void {
    this.client = null;
    this.underWay.clear();
    this.bytesUnderWay = 0;
    if (client.transmits) this.listener.onGone('the connection of the disk has ended');
  }
}
