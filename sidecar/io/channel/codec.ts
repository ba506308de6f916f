// SPDX-License-Identifier: Apache-2.0
/**
 * Frames to bytes and back.
 *
 *     preface (each side, once):  6 bytes "LKSTEP", u8 framing version, u8 purpose, 16 bytes nonce of the sender
 *     frame:                      u8 framing version, u8 type, u16 zero, u32 payload length, u64 number, payload
 *     payload of `log`:           u64 lsn, u8 end, u64 packets, bytes
 *
 * Numbers of frames count from 1 in each direction of a connection. The decoder holds at most one frame that is not
 * `log`; of `log` it holds nothing: bytes are handed on as they come, as several frames of which the last has `end`.
 */
import type { LogFrame, WireFrame } from '../../protocol/frames.js';
import type { Nonce } from '../../protocol/types.js';
import { ChannelError } from './errors.js';
import {
  LAYOUT,
  LOG_CODE,
  PAYLOAD_MAX,
  payloadRoom,
  rowOfCode,
  writePayload,
  type WholeFrame,
} from './layout.js';
import { WireReader, WireWriter } from './wire.js';

export const FRAMING_VERSION = 1;
export const HEADER_BYTES = 16;
const LOG_HEAD_BYTES = 8 + 1 + 8;
/** Longer pieces of log are split, so that a beat never waits behind more than this in the sender's hands. */
export const LOG_BYTES_MAX = 64 * 1024;
const LOG_PAYLOAD_MAX = LOG_HEAD_BYTES + LOG_BYTES_MAX;

export const PREFACE_BYTES = 24;
const MAGIC = Buffer.from('LKSTEP', 'latin1');
const PURPOSES = ['log', 'clone', 'disks'] as const;
/** `log` carries frames, `clone` the raw migration stream, `disks` images (io/disk/copy-wire.ts). */
export type Purpose = (typeof PURPOSES)[number];

export interface Preface {
  readonly purpose: Purpose;
  readonly nonce: Nonce;
}

export function encodePreface({ purpose, nonce }: Preface): Buffer {
  const bytes = Buffer.alloc(PREFACE_BYTES);
  const w = new WireWriter(bytes, MAGIC.copy(bytes));
  w.u8(FRAMING_VERSION);
  w.u8(PURPOSES.indexOf(purpose));
  w.id(nonce);
  return bytes;
}

/** @throws ChannelError */
export function decodePreface(bytes: Buffer): Preface {
  if (bytes.length !== PREFACE_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new ChannelError('CHANNEL_BAD_PREFACE', 'the peer does not speak this protocol');
  }
  const r = new WireReader(bytes.subarray(MAGIC.length));
  const version = r.u8();
  if (version !== FRAMING_VERSION) {
    throw new ChannelError('CHANNEL_BAD_VERSION', `framing ${version}, this side has ${FRAMING_VERSION}`);
  }
  const purpose = PURPOSES[r.u8()];
  if (purpose === undefined) throw new ChannelError('CHANNEL_BAD_PREFACE', 'a connection of unknown purpose');
  return { purpose, nonce: r.id() };
}

/** Numbers frames and turns them into bytes; one for each direction of a connection. */
export class FrameEncoder {
  #number = 0;

  encode(frame: WholeFrame): Buffer {
    const bytes = Buffer.allocUnsafe(HEADER_BYTES + payloadRoom(frame));
    const w = new WireWriter(bytes, HEADER_BYTES);
    writePayload(w, frame);
    this.#header(bytes, LAYOUT[frame.type].code, w.at - HEADER_BYTES);
    return bytes.subarray(0, w.at);
  }

  /** What goes before the bytes of one `log` frame of at most LOG_BYTES_MAX. */
  encodeLogHead({ lsn, end, packets }: Omit<LogFrame, 'type' | 'bytes'>, byteCount: number): Buffer {
    if (byteCount < 1 || byteCount > LOG_BYTES_MAX) throw new RangeError(`a log frame of ${byteCount} bytes`);
    const bytes = Buffer.allocUnsafe(HEADER_BYTES + LOG_HEAD_BYTES);
    const w = new WireWriter(bytes, HEADER_BYTES);
    w.u64(lsn);
    w.flag(end);
    w.u64(packets);
    this.#header(bytes, LOG_CODE, LOG_HEAD_BYTES + byteCount);
    return bytes;
  }

  #header(bytes: Buffer, code: number, payloadBytes: number): void {
    this.#number += 1;
    const w = new WireWriter(bytes, 0);
    w.u8(FRAMING_VERSION);
    w.u8(code);
    w.u16(0);
    w.u32(payloadBytes);
    w.u64(this.#number);
  }
}

interface OpenLog {
  lsn: number;
  readonly end: boolean;
  readonly packets: number;
  left: number;
}

/** Turns the bytes of one direction of a connection into frames. After it threw it takes no more. */
export class FrameDecoder {
  readonly #onFrame: (frame: WireFrame) => void;
  /** Header, small payload or head of a log frame while it is incomplete. */
  readonly #scratch = Buffer.allocUnsafe(HEADER_BYTES + PAYLOAD_MAX);
  #have = 0;
  #need = HEADER_BYTES;
  /** Type and payload length of the frame whose payload is awaited; null: a header is. */
  #type: number | null = null;
  #payloadBytes = 0;
  #log: OpenLog | null = null;
  #number = 0;
  #stopped = false;

  constructor(onFrame: (frame: WireFrame) => void) {
    this.#onFrame = onFrame;
  }

  /** No frame is delivered after this, also not from bytes already pushed. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Delivers the frames that become complete. Bytes of `log` frames are views of `chunk`.
   * @throws ChannelError: close the connection
   */
  push(chunk: Buffer): void {
    let at = 0;
    try {
      while (at < chunk.length && !this.#stopped) {
        at += this.#log === null ? this.#gather(chunk, at) : this.#passLog(this.#log, chunk, at);
      }
    } catch (error) {
      this.#stopped = true;
      throw error;
    }
  }

  #gather(chunk: Buffer, at: number): number {
    const taken = chunk.copy(this.#scratch, this.#have, at, at + this.#need - this.#have);
    this.#have += taken;
    while (this.#have === this.#need && this.#log === null && !this.#stopped) {
      this.#have = 0;
      if (this.#type === null) this.#takeHeader();
      else this.#takePayload(this.#type);
      if (this.#need > 0) break;
    }
    return taken;
  }

  #takeHeader(): void {
    const r = new WireReader(this.#scratch.subarray(0, HEADER_BYTES));
    const version = r.u8();
    if (version !== FRAMING_VERSION) throw new ChannelError('CHANNEL_BAD_VERSION', `framing ${version}`);
    const type = r.u8();
    if (r.u16() !== 0) throw new ChannelError('CHANNEL_MALFORMED', 'reserved bits are set');
    const payloadBytes = r.u32();
    this.#checkLength(type, payloadBytes);
    const number = r.u64();
    this.#number += 1;
    if (number !== this.#number) {
      throw new ChannelError('CHANNEL_BAD_SEQUENCE', `frame ${number} where ${this.#number} is due`);
    }
    this.#type = type;
    this.#payloadBytes = payloadBytes;
    this.#need = type === LOG_CODE ? LOG_HEAD_BYTES : payloadBytes;
  }

  #checkLength(type: number, payloadBytes: number): void {
    const bytesMax = type === LOG_CODE ? LOG_PAYLOAD_MAX : rowOfCode(type)?.bytesMax;
    if (bytesMax === undefined) throw new ChannelError('CHANNEL_UNKNOWN_TYPE', `frame type ${type}`);
    if (payloadBytes > bytesMax) {
      throw new ChannelError(
        'CHANNEL_FRAME_TOO_LONG',
        `type ${type}: ${payloadBytes} bytes, at most ${bytesMax}`,
      );
    }
    if (type === LOG_CODE && payloadBytes <= LOG_HEAD_BYTES) {
      throw new ChannelError('CHANNEL_MALFORMED', 'a log frame without log');
    }
  }

  #takePayload(type: number): void {
    const r = new WireReader(this.#scratch.subarray(0, this.#need));
    this.#type = null;
    this.#need = HEADER_BYTES;
    if (type === LOG_CODE) {
      this.#log = openLog(r, this.#payloadBytes - LOG_HEAD_BYTES);
      return;
    }
    const row = rowOfCode(type);
    if (row === undefined) throw new ChannelError('CHANNEL_UNKNOWN_TYPE', `frame type ${type}`);
    const frame = row.read(r);
    r.end();
    this.#onFrame(frame);
  }

  #passLog(log: OpenLog, chunk: Buffer, at: number): number {
    const taken = Math.min(log.left, chunk.length - at);
    const isLast = taken === log.left;
    const frame: LogFrame = {
      type: 'log',
      lsn: log.lsn,
      end: log.end && isLast,
      packets: isLast ? log.packets : 0,
      bytes: chunk.subarray(at, at + taken),
    };
    log.lsn += taken;
    log.left -= taken;
    if (isLast) this.#log = null;
    this.#onFrame(frame);
    return taken;
  }
}

function openLog(r: WireReader, left: number): OpenLog {
  const lsn = r.u64();
  if (!Number.isSafeInteger(lsn + left))
    throw new ChannelError('CHANNEL_MALFORMED', 'log beyond the last position');
  return { lsn, end: r.flag(), packets: r.u64(), left };
}
