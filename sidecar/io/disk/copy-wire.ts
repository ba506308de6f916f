// SPDX-License-Identifier: Apache-2.0
/**
 * What travels on a connection of purpose `disks`, inside the channel's TLS. Big-endian. Pure.
 *
 *   primary → backup   begin: 1, u32 life, u8 disks, u64 bytes of each    block: 2, u8 disk, u32 block, u32 length, data
 *                      zeroes: 3, u8 disk, u32 from, u32 to (blocks)      end: 4
 *   backup → primary   want: 5, u8 disk, u32 block                        whole: 6
 */
import { COPY_BLOCK_BYTES } from '../../protocol/disk/copy-source.js';

export const DISKS_MAX = 4;

export type CopyMessage =
  | { readonly type: 'begin'; readonly life: number; readonly bytes: readonly number[] }
  | { readonly type: 'block'; readonly disk: number; readonly block: number; readonly data: Buffer }
  | { readonly type: 'zeroes'; readonly disk: number; readonly from: number; readonly to: number }
  | { readonly type: 'end' }
  | { readonly type: 'want'; readonly disk: number; readonly block: number }
  | { readonly type: 'whole' };

const CODE = { begin: 1, block: 2, zeroes: 3, end: 4, want: 5, whole: 6 } as const;

/** Bytes on the connection that are none of this. */
export class CopyWireError extends Error {
  readonly code = 'LOCKSTEP_COPY_WIRE';
}

/** What begins with a disk and a block of it. */
function ofBlock(code: number, disk: number, ...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(2 + 4 * numbers.length);
  bytes.writeUInt8(code, 0);
  bytes.writeUInt8(disk, 1);
  numbers.forEach((number, index) => bytes.writeUInt32BE(number, 2 + 4 * index));
  return bytes;
}

/** Head of a block; its data follow. */
export const blockHead = (disk: number, block: number, length: number): Buffer =>
  ofBlock(CODE.block, disk, block, length);

export function encode(message: Exclude<CopyMessage, { type: 'block' }>): Buffer {
  switch (message.type) {
    case 'begin': {
      const bytes = Buffer.alloc(6 + 8 * message.bytes.length);
      bytes.writeUInt8(CODE.begin, 0);
      bytes.writeUInt32BE(message.life, 1);
      bytes.writeUInt8(message.bytes.length, 5);
      message.bytes.forEach((size, index) => bytes.writeBigUInt64BE(BigInt(size), 6 + 8 * index));
      return bytes;
    }
    case 'zeroes':
      return ofBlock(CODE.zeroes, message.disk, message.from, message.to);
    case 'want':
      return ofBlock(CODE.want, message.disk, message.block);
    case 'end':
    case 'whole':
      return Buffer.from([CODE[message.type]]);
  }
}

/** Message at the beginning of `bytes` and its length; null: more bytes are needed. @throws CopyWireError */
function decode(bytes: Buffer): { readonly message: CopyMessage; readonly length: number } | null {
  const code = bytes.readUInt8(0);
  switch (code) {
    case CODE.begin: {
      if (bytes.length < 6) return null;
      const count = bytes.readUInt8(5);
      if (count > DISKS_MAX) throw new CopyWireError(`${String(count)} disks`);
      const length = 6 + 8 * count;
      if (bytes.length < length) return null;
      const sizes = Array.from({ length: count }, (_, index) => Number(bytes.readBigUInt64BE(6 + 8 * index)));
      return { message: { type: 'begin', life: bytes.readUInt32BE(1), bytes: sizes }, length };
    }
    case CODE.block: {
      if (bytes.length < 10) return null;
      const size = bytes.readUInt32BE(6);
      if (size === 0 || size > COPY_BLOCK_BYTES) throw new CopyWireError(`a block of ${String(size)} bytes`);
      if (bytes.length < 10 + size) return null;
      const data = Buffer.from(bytes.subarray(10, 10 + size));
      return {
        message: { type: 'block', disk: bytes.readUInt8(1), block: bytes.readUInt32BE(2), data },
        length: 10 + size,
      };
    }
    case CODE.zeroes: {
      if (bytes.length < 10) return null;
      const [from, to] = [bytes.readUInt32BE(2), bytes.readUInt32BE(6)];
      return { message: { type: 'zeroes', disk: bytes.readUInt8(1), from, to }, length: 10 };
    }
    case CODE.want: {
      if (bytes.length < 6) return null;
      const message: CopyMessage = {
        type: 'want',
        disk: bytes.readUInt8(1),
        block: bytes.readUInt32BE(2),
      };
      return { message, length: 6 };
    }
    case CODE.end:
      return { message: { type: 'end' }, length: 1 };
    case CODE.whole:
      return { message: { type: 'whole' }, length: 1 };
    default:
      throw new CopyWireError(`a message of unknown kind ${String(code)}`);
  }
}

/** Cuts a stream into messages. Holds less than one besides what it was just given. */
export class CopyReader {
  private parts: Buffer[] = [];
  private partBytes = 0;
  /** No message is complete before so many bytes are here. */
  private wanted = 1;

  constructor(private readonly onMessage: (message: CopyMessage) => void) {}

  /** @throws CopyWireError */
  push(bytes: Buffer): void {
    this.parts.push(bytes);
    this.partBytes += bytes.length;
    if (this.partBytes < this.wanted) return;
    let rest = this.parts.length === 1 ? bytes : Buffer.concat(this.parts);
    for (;;) {
      if (rest.length === 0) break;
      const found = decode(rest);
      if (found === null) break;
      this.onMessage(found.message);
      rest = rest.subarray(found.length);
    }
    this.parts = rest.length === 0 ? [] : [rest];
    this.partBytes = rest.length;
    this.wanted = wantedBytes(rest);
  }
}

/** A block comes in many pieces, which are joined once. */
function wantedBytes(rest: Buffer): number {
  const isBlock = rest.length >= 10 && rest.readUInt8(0) === CODE.block;
  return isBlock ? 10 + rest.readUInt32BE(6) : rest.length + 1;
}
