// SPDX-License-Identifier: Apache-2.0
/** Requests of a client, cut out of its bytes and judged; and the replies. Pure. */
import type { DiskRequest } from '../../protocol/disk/request.js';
import {
  COMMAND,
  COMMAND_FLAG,
  NBD_ERROR,
  PAYLOAD_BYTES_MAX,
  REPLY_MAGIC,
  REQUEST_MAGIC,
} from './constants.js';
import { NbdError } from './handshake.js';

export const REQUEST_BYTES = 28;
const REPLY_BYTES = 16;

/** One request. `data` is its own memory. */
export interface NbdRequest {
  readonly cookie: bigint;
  readonly request: DiskRequest;
  /** Of a write; empty else. */
  readonly data: Buffer;
}

export type Parsed =
  | { readonly type: 'request'; readonly request: NbdRequest }
  /** Makes no sense for this export: answered with an error, without being carried out. */
  | { readonly type: 'refused'; readonly cookie: bigint; readonly error: number }
  | { readonly type: 'disconnect' };

interface Head {
  readonly flags: number;
  readonly command: number;
  readonly cookie: bigint;
  readonly offset: bigint;
  readonly length: number;
}

/** Cuts bytes into requests. Holds at most one request besides what it was just given. */
export class RequestReader {
  private readonly head = Buffer.alloc(REQUEST_BYTES);
  private headBytes = 0;
  private current: Head | null = null;
  private data = Buffer.alloc(0);
  private dataBytes = 0;

  constructor(
    private readonly exportBytes: number,
    private readonly onParsed: (parsed: Parsed) => void,
  ) {}

  /** @throws NbdError for what is no request: nothing after it can be understood */
  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      at += this.current === null ? this.takeHead(bytes.subarray(at)) : this.takeData(bytes.subarray(at));
      this.finish();
    }
  }

  private takeHead(bytes: Buffer): number {
    const taken = bytes.copy(this.head, this.headBytes, 0, REQUEST_BYTES - this.headBytes);
    this.headBytes += taken;
    if (this.headBytes === REQUEST_BYTES) this.begin(readHead(this.head));
    return taken;
  }

  private begin(head: Head): void {
    this.headBytes = 0;
    this.current = head;
    this.dataBytes = 0;
    const wanted = head.command === COMMAND.write ? head.length : 0;
    if (wanted > PAYLOAD_BYTES_MAX) throw new NbdError(`a write of ${String(wanted)} bytes`);
    this.data = Buffer.allocUnsafeSlow(wanted);
  }

  private takeData(bytes: Buffer): number {
    const taken = bytes.copy(this.data, this.dataBytes);
    this.dataBytes += taken;
    return taken;
  }

  private finish(): void {
    const { current, data } = this;
    if (current === null || this.dataBytes < data.length) return;
    this.current = null;
    this.onParsed(judge(current, data, this.exportBytes));
  }
}

function readHead(bytes: Buffer): Head {
  if (bytes.readUInt32BE(0) !== REQUEST_MAGIC) throw new NbdError('a request without its magic number');
  return {
    flags: bytes.readUInt16BE(4),
    command: bytes.readUInt16BE(6),
    cookie: bytes.readBigUInt64BE(8),
    offset: bytes.readBigUInt64BE(16),
    length: bytes.readUInt32BE(24),
  };
}

const KINDS = new Map<number, DiskRequest['kind']>([
  [COMMAND.read, 'read'],
  [COMMAND.write, 'write'],
  [COMMAND.flush, 'flush'],
  [COMMAND.trim, 'zero'],
  [COMMAND.writeZeroes, 'zero'],
]);

const FLAGS_OF: Readonly<Record<DiskRequest['kind'], number>> = {
  // FUA is let in everywhere: the specification says that a server that offers it must.
  read: COMMAND_FLAG.fua,
  write: COMMAND_FLAG.fua,
  flush: COMMAND_FLAG.fua,
  zero: COMMAND_FLAG.fua | COMMAND_FLAG.noHole,
};

/** Behind the end: by the specification ENOSPC for what would write there, EINVAL for the rest. */
function boundsError(kind: DiskRequest['kind'], { offset, length }: Head, exportBytes: number): number {
  if (kind === 'flush') return offset === 0n && length === 0 ? 0 : NBD_ERROR.EINVAL;
  if (length === 0) return NBD_ERROR.EINVAL;
  if (kind === 'read' && length > PAYLOAD_BYTES_MAX) return NBD_ERROR.EINVAL;
  if (offset + BigInt(length) <= BigInt(exportBytes)) return 0;
  return kind === 'read' ? NBD_ERROR.EINVAL : NBD_ERROR.ENOSPC;
}

function judge(head: Head, data: Buffer, exportBytes: number): Parsed {
  const { cookie, command, flags, length } = head;
  if (command === COMMAND.disconnect) return { type: 'disconnect' };
  const kind = KINDS.get(command);
  if (kind === undefined || (flags & ~FLAGS_OF[kind]) !== 0) {
    return { type: 'refused', cookie, error: NBD_ERROR.EINVAL };
  }
  const error = boundsError(kind, head, exportBytes);
  if (error !== 0) return { type: 'refused', cookie, error };
  const request: DiskRequest = {
    kind,
    offset: Number(head.offset),
    length,
    fua: (flags & COMMAND_FLAG.fua) !== 0 && kind !== 'read',
    // What is trimmed reads as zeroes afterwards: on both sides the same.
    mayPunch: command === COMMAND.trim || (flags & COMMAND_FLAG.noHole) === 0,
  };
  return { type: 'request', request: { cookie, request, data } };
}

export function replyHead(cookie: bigint, error: number): Buffer {
  const bytes = Buffer.alloc(REPLY_BYTES);
  bytes.writeUInt32BE(REPLY_MAGIC, 0);
  bytes.writeUInt32BE(error, 4);
  bytes.writeBigUInt64BE(cookie, 8);
  return bytes;
}
