// SPDX-License-Identifier: Apache-2.0
/** How a client comes to an export: fixed newstyle negotiation. Pure: bytes in, bytes out. */
import {
  EXPORT_FLAGS,
  FIXED_NEWSTYLE,
  INFO,
  NO_ZEROES,
  OPTION,
  OPTION_MAGIC,
  OPTION_REPLY,
  OPTION_REPLY_MAGIC,
  PAYLOAD_BYTES_MAX,
  SERVER_MAGIC,
} from './constants.js';

export interface NbdExport {
  readonly name: string;
  readonly bytes: number;
}

/** A client that does not speak the protocol; it is shown out. */
export class NbdError extends Error {
  readonly code = 'LOCKSTEP_NBD';
}

/** Longest option that is read: names have at most 4096 bytes by the specification. */
const OPTION_BYTES_MAX = 8192;
/** A client that only asks has had its time after so many options. */
const OPTIONS_MAX = 64;
const OPTION_HEAD_BYTES = 16;
const CLIENT_FLAGS_BYTES = 4;
const PADDING_BYTES = 124;
const BLOCK_BYTES_MIN = 1;
const BLOCK_BYTES_PREFERRED = 4096;

export type HandshakeStep =
  /** More bytes are needed. */
  | { readonly type: 'more' }
  | { readonly type: 'send'; readonly bytes: Buffer }
  /** Send, and from the next byte on requests come. */
  | { readonly type: 'transmit'; readonly bytes: Buffer }
  /** Send, and close. */
  | { readonly type: 'close'; readonly bytes: Buffer };

/** What the server says first. */
export function greeting(): Buffer {
  const bytes = Buffer.alloc(18);
  bytes.writeBigUInt64BE(SERVER_MAGIC, 0);
  bytes.writeBigUInt64BE(OPTION_MAGIC, 8);
  bytes.writeUInt16BE(FIXED_NEWSTYLE | NO_ZEROES, 16);
  return bytes;
}

function optionReply(option: number, type: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(type, 12);
  head.writeUInt32BE(data.length, 16);
  return Buffer.concat([head, data]);
}

function exportFacts({ bytes }: NbdExport): Buffer {
  const facts = Buffer.alloc(10);
  facts.writeBigUInt64BE(BigInt(bytes), 0);
  facts.writeUInt16BE(EXPORT_FLAGS, 8);
  return facts;
}

function infoReply(option: number, kind: number, data: Buffer): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(kind, 0);
  return optionReply(option, OPTION_REPLY.info, Buffer.concat([head, data]));
}

function blockSizes(): Buffer {
  const sizes = Buffer.alloc(12);
  sizes.writeUInt32BE(BLOCK_BYTES_MIN, 0);
  sizes.writeUInt32BE(BLOCK_BYTES_PREFERRED, 4);
  sizes.writeUInt32BE(PAYLOAD_BYTES_MAX, 8);
  return sizes;
}

function named(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length, 0);
  return Buffer.concat([length, bytes]);
}

/** Null: its lengths do not fit each other. */
function nameOfInfo(data: Buffer): string | null {
  if (data.length < 6) return null;
  const nameEnd = 4 + data.readUInt32BE(0);
  if (nameEnd + 2 > data.length) return null;
  const asked = data.readUInt16BE(nameEnd);
  if (data.length !== nameEnd + 2 + 2 * asked) return null;
  return data.toString('utf8', 4, nameEnd);
}

export class Handshake {
  private flags: number | null = null;
  private options = 0;

  constructor(private readonly offered: NbdExport) {}

  /**
   * The next step, and how many of `bytes` it took.
   * @throws NbdError for what no client of the protocol says
   */
  next(bytes: Buffer): { readonly step: HandshakeStep; readonly taken: number } {
    if (this.flags === null) return this.clientFlags(bytes);
    if (bytes.length < OPTION_HEAD_BYTES) return { step: { type: 'more' }, taken: 0 };
    if (bytes.readBigUInt64BE(0) !== OPTION_MAGIC) throw new NbdError('an option without its magic number');
    const option = bytes.readUInt32BE(8);
    const length = bytes.readUInt32BE(12);
    if (length > OPTION_BYTES_MAX) throw new NbdError(`an option of ${String(length)} bytes`);
    const taken = OPTION_HEAD_BYTES + length;
    if (bytes.length < taken) return { step: { type: 'more' }, taken: 0 };
    this.options += 1;
    if (this.options > OPTIONS_MAX) throw new NbdError('options without end');
    return { step: this.answer(option, bytes.subarray(OPTION_HEAD_BYTES, taken)), taken };
  }

  private clientFlags(bytes: Buffer): { readonly step: HandshakeStep; readonly taken: number } {
    if (bytes.length < CLIENT_FLAGS_BYTES) return { step: { type: 'more' }, taken: 0 };
    const flags = bytes.readUInt32BE(0);
    if ((flags & ~(FIXED_NEWSTYLE | NO_ZEROES)) !== 0) throw new NbdError('flags that were not offered');
    this.flags = flags;
    return { step: { type: 'send', bytes: Buffer.alloc(0) }, taken: CLIENT_FLAGS_BYTES };
  }

  private answer(option: number, data: Buffer): HandshakeStep {
    switch (option) {
      case OPTION.exportName:
        return this.byName(data.toString('utf8'));
      case OPTION.abort:
        return { type: 'close', bytes: optionReply(option, OPTION_REPLY.ack) };
      case OPTION.list:
        return this.list(option, data);
      case OPTION.info:
      case OPTION.go:
        return this.info(option, data);
      default:
        return { type: 'send', bytes: optionReply(option, OPTION_REPLY.unsupported) };
    }
  }

  /** The old way: an unknown name can only be hung up on. */
  private byName(name: string): HandshakeStep {
    if (!this.isOurs(name)) return { type: 'close', bytes: Buffer.alloc(0) };
    const padding = ((this.flags ?? 0) & NO_ZEROES) !== 0 ? 0 : PADDING_BYTES;
    return { type: 'transmit', bytes: Buffer.concat([exportFacts(this.offered), Buffer.alloc(padding)]) };
  }

  private list(option: number, data: Buffer): HandshakeStep {
    if (data.length > 0) return { type: 'send', bytes: optionReply(option, OPTION_REPLY.invalid) };
    const entry = optionReply(option, OPTION_REPLY.server, named(Buffer.from(this.offered.name)));
    return { type: 'send', bytes: Buffer.concat([entry, optionReply(option, OPTION_REPLY.ack)]) };
  }

  private info(option: number, data: Buffer): HandshakeStep {
    const name = nameOfInfo(data);
    if (name === null) return { type: 'send', bytes: optionReply(option, OPTION_REPLY.invalid) };
    if (!this.isOurs(name)) return { type: 'send', bytes: optionReply(option, OPTION_REPLY.unknown) };
    const bytes = Buffer.concat([
      infoReply(option, INFO.export, exportFacts(this.offered)),
      infoReply(option, INFO.blockSize, blockSizes()),
      optionReply(option, OPTION_REPLY.ack),
    ]);
    return { type: option === OPTION.go ? 'transmit' : 'send', bytes };
  }

  /** No name means the default export: there is only one. */
  private isOurs(name: string): boolean {
    return name === '' || name === this.offered.name;
  }
}
