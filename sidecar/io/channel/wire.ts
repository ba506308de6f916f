// SPDX-License-Identifier: Apache-2.0
/** Writing and reading the fields of a frame: big-endian, hex ids as 16 raw bytes, texts as u16 length + UTF-8. */
import { isUtf8 } from 'node:buffer';
import { ChannelError } from './errors.js';

const ID_BYTES = 16;
const HEX_ID = /^[0-9a-f]{32}$/;
const HIGH_WORD = 2 ** 32;

/** A value of our own that no frame can carry: a programming error on this side. */
export class WireValueError extends Error {
  readonly code = 'CHANNEL_VALUE';
}

function malformed(detail: string): ChannelError {
  return new ChannelError('CHANNEL_MALFORMED', detail);
}

/** Cuts at a character boundary so that the UTF-8 form has at most `bytesMax` bytes. */
export function fitText(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= bytesMax) return bytes.toString('utf8');
  let end = bytesMax;
  while (end > 0 && (bytes.readUInt8(end) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}

export class WireWriter {
  #at: number;

  /** Writes into `buffer` from `at`; the caller sized it. */
  constructor(
    readonly buffer: Buffer,
    at: number,
  ) {
    this.#at = at;
  }

  get at(): number {
    return this.#at;
  }

  u8(value: number): void {
    this.#at = this.buffer.writeUInt8(value, this.#at);
  }

  u16(value: number): void {
    this.#at = this.buffer.writeUInt16BE(value, this.#at);
  }

  u32(value: number): void {
    this.#at = this.buffer.writeUInt32BE(value, this.#at);
  }

  /** Integers of 0 to 2^53 - 1. */
  u64(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new WireValueError(`not a position or count: ${value}`);
    this.u32(Math.floor(value / HIGH_WORD));
    this.u32(value % HIGH_WORD);
  }

  flag(value: boolean): void {
    this.u8(value ? 1 : 0);
  }

  bytes(value: Uint8Array): void {
    this.buffer.set(value, this.#at);
    this.#at += value.length;
  }

  id(hex: string): void {
    if (!HEX_ID.test(hex))
      throw new WireValueError(`not an id of 32 lower-case hex digits: ${JSON.stringify(hex)}`);
    this.#at += this.buffer.write(hex, this.#at, ID_BYTES, 'hex');
  }

  text(value: string, bytesMax: number): void {
    const bytes = Buffer.from(value, 'utf8');
    if (bytes.length > bytesMax)
      throw new WireValueError(`text of ${bytes.length} bytes, at most ${bytesMax}`);
    this.u16(bytes.length);
    this.#at += bytes.copy(this.buffer, this.#at);
  }
}

export class WireReader {
  #at = 0;

  constructor(readonly bytes: Buffer) {}

  u8(): number {
    return this.bytes.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.bytes.readUInt16BE(this.#take(2));
  }

  u32(): number {
    return this.bytes.readUInt32BE(this.#take(4));
  }

  u64(): number {
    const value = this.u32() * HIGH_WORD + this.u32();
    if (!Number.isSafeInteger(value)) throw malformed('a number above 2^53');
    return value;
  }

  flag(): boolean {
    const value = this.u8();
    if (value > 1) throw malformed(`a flag of ${value}`);
    return value === 1;
  }

  /** Bytes of its own, that stay when the frame's are used again. */
  copy(length: number): Buffer {
    const from = this.#take(length);
    return Buffer.from(this.bytes.subarray(from, from + length));
  }

  id(): string {
    const from = this.#take(ID_BYTES);
    return this.bytes.toString('hex', from, from + ID_BYTES);
  }

  text(bytesMax: number): string {
    const length = this.u16();
    if (length > bytesMax) throw malformed(`a text of ${length} bytes, at most ${bytesMax}`);
    const from = this.#take(length);
    const bytes = this.bytes.subarray(from, from + length);
    if (!isUtf8(bytes)) throw malformed('a text not in UTF-8');
    return bytes.toString('utf8');
  }

  /** One of a list of words. */
  word<W extends string>(words: readonly W[], bytesMax: number): W {
    const text = this.text(bytesMax);
    const word = words.find((known) => known === text);
    if (word === undefined) throw malformed(`unknown word ${JSON.stringify(text)}`);
    return word;
  }

  end(): void {
    if (this.#at !== this.bytes.length) throw malformed(`${this.bytes.length - this.#at} bytes too many`);
  }

  #take(length: number): number {
    const from = this.#at;
    if (from + length > this.bytes.length) throw malformed('the frame ends within a field');
    this.#at = from + length;
    return from;
  }
}
