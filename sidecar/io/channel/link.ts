// SPDX-License-Identifier: Apache-2.0
/** One connection of purpose `log`: frames out, frames in, and why it ended. */
import type { TLSSocket } from 'node:tls';
import type { Frame, LogFrame, WireFrame } from '../../protocol/frames.js';
import type { Nonce } from '../../protocol/types.js';
import { FrameDecoder, FrameEncoder, HEADER_BYTES, LOG_BYTES_MAX } from './codec.js';
import { ChannelError } from './errors.js';
import { packetFrames, payloadBytes } from './packets.js';
import type { OpenConnection } from './tls.js';

/** `eof`: the peer ended in order or its process died; `reset`: its kernel knows nothing of the connection. */
export type DownCause = 'eof' | 'reset' | 'error' | 'violation' | 'backlog';

export interface LinkDown {
  readonly cause: DownCause;
  readonly detail: string;
}

export interface LinkHandlers {
  onFrame(frame: WireFrame): void;
  /** Once, and nothing after it. Not called after `close`. */
  onDown(down: LinkDown): void;
  /** The backlog has gone down again after `isBacklogged` was true. */
  onDrain?(): void;
}

/** Bytes given to a link that the kernel has not taken. Above the first: ship no more; above the second: it is dead. */
export const BACKLOG_HIGH_BYTES = 1024 * 1024;
export const BACKLOG_MAX_BYTES = 32 * 1024 * 1024;
/** A link that is closed has this long to flush. */
const FLUSH_MS_MAX = 500;
/** Shorter log is copied behind its head: one write, one TLS record. */
const LOG_COPY_BYTES_MAX = 4096;
const RESET_CODES = ['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'];

export class ChannelLink {
  /** Nonce that the peer gave when the connection was made. */
  readonly peerNonce: Nonce;
  readonly #socket: TLSSocket;
  readonly #encoder = new FrameEncoder();
  readonly #decoder: FrameDecoder;
  readonly #handlers: LinkHandlers;
  #isDown = false;
  /** Writes of log that still show the ring's own memory. */
  #viewsUnderWay = 0;

  /** Starts to read at once: the handlers may be called from the next turn of the event loop on. */
  constructor({ socket, preface }: OpenConnection, handlers: LinkHandlers) {
    this.peerNonce = preface.nonce;
    this.#socket = socket;
    this.#handlers = handlers;
    this.#decoder = new FrameDecoder((frame) => handlers.onFrame(frame));
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('drain', () => handlers.onDrain?.());
    socket.once('end', () => this.#down('eof', 'the peer has closed the connection'));
    socket.once('error', (error: NodeJS.ErrnoException) => this.#onError(error));
    socket.once('close', () => this.#down('reset', 'the connection is gone'));
    socket.resume();
    if (socket.destroyed)
      process.nextTick(() => this.#down('reset', 'the connection was gone before it was used'));
  }

  /** Bytes waiting for the kernel. */
  get backlogBytes(): number {
    return this.#socket.writableLength;
  }

  get isBacklogged(): boolean {
    return this.#socket.writableLength > BACKLOG_HIGH_BYTES;
  }

  get isDown(): boolean {
    return this.#isDown;
  }

  send(frame: Frame): void {
    this.#write(this.#encoder.encode(frame));
  }

  /**
   * Sends log as one or more frames; the last has `end` and `packets`. The bytes are not copied when they are many: they
   * must stay as they are until acknowledged or the link is down.
   */
  sendLog({ lsn, bytes, end, packets }: Omit<LogFrame, 'type'>): void {
    if (bytes.length === 0) throw new RangeError('sendLog without log');
    this.#socket.cork();
    for (let at = 0; at < bytes.length; at += LOG_BYTES_MAX) {
      const piece = bytes.subarray(at, at + LOG_BYTES_MAX);
      const isLast = at + piece.length === bytes.length;
      const fields = { lsn: lsn + at, end: end && isLast, packets: isLast ? packets : 0 };
      this.#writeLog(this.#encoder.encodeLogHead(fields, piece.length), piece);
    }
    this.#socket.uncork();
  }

  /**
   * Sends packets, numbered from `first`, up to `bytesMax` with their frames: the rest is left out. Returns the bytes sent.
   */
  sendPackets(first: number, packets: readonly Uint8Array[], bytesMax: number): number {
    let sent = 0;
    for (const frame of packetFrames(first, packets)) {
      const bytes = HEADER_BYTES + payloadBytes(frame);
      if (sent + bytes > bytesMax) break;
      this.#write(this.#encoder.encode(frame));
      sent += bytes;
    }
    return sent;
  }

  /** Between these, what is sent leaves as one write. Calls nest. */
  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  /**
   * What was sent still goes out if it can. The handlers are not called any more. Log that waits does not: whoever
   * closes may let QEMU overwrite it next, and then the peer would get bytes that were never logged there.
   */
  close(): void {
    if (this.#isDown) return;
    this.#end();
    if (this.#viewsUnderWay > 0) {
      this.#socket.destroy();
      return;
    }
    const timer = setTimeout(() => this.#socket.destroy(), FLUSH_MS_MAX);
    this.#socket.once('close', () => clearTimeout(timer));
    this.#socket.end();
    this.#socket.resume();
  }

  #writeLog(head: Buffer, bytes: Uint8Array): void {
    if (bytes.length <= LOG_COPY_BYTES_MAX) {
      this.#write(Buffer.concat([head, bytes]));
      return;
    }
    this.#write(head);
    this.#viewsUnderWay += 1;
    this.#write(bytes, () => {
      this.#viewsUnderWay -= 1;
    });
  }

  #write(bytes: Uint8Array, whenGone?: () => void): void {
    if (this.#isDown) return;
    if (this.#socket.writableLength + bytes.length > BACKLOG_MAX_BYTES) {
      this.#fail('backlog', `${this.#socket.writableLength} bytes wait for a peer that does not read`);
      return;
    }
    this.#socket.write(bytes, whenGone);
  }

  #receive(chunk: Buffer): void {
    if (this.#isDown) return;
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      this.#fail('violation', error.message);
    }
  }

  #onError(error: NodeJS.ErrnoException): void {
    const cause = RESET_CODES.includes(error.code ?? '') ? 'reset' : 'error';
    this.#fail(cause, `${error.code ?? ''} ${error.message}`.trim());
  }

  #fail(cause: DownCause, detail: string): void {
    this.#socket.destroy();
    // Not from within a call of the owner's: it may be sending.
    process.nextTick(() => this.#down(cause, detail));
  }

  #down(cause: DownCause, detail: string): void {
    if (this.#isDown) return;
    this.#end();
    this.#socket.destroy();
    this.#handlers.onDown({ cause, detail });
  }

  #end(): void {
    this.#isDown = true;
    this.#decoder.stop();
  }
}
