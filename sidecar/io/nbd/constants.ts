// SPDX-License-Identifier: Apache-2.0
/** Numbers of the NBD protocol (its specification: NetworkBlockDevice/nbd, doc/proto.md). All fields are big-endian. */

export const SERVER_MAGIC = 0x4e42444d41474943n; // "NBDMAGIC"
export const OPTION_MAGIC = 0x49484156454f5054n; // "IHAVEOPT"
export const OPTION_REPLY_MAGIC = 0x0003e889045565a9n;
export const REQUEST_MAGIC = 0x25609513;
export const REPLY_MAGIC = 0x67446698;

/** Of the handshake, both ways. */
export const FIXED_NEWSTYLE = 1;
export const NO_ZEROES = 2;

export const OPTION = { exportName: 1, abort: 2, list: 3, info: 6, go: 7 } as const;

export const OPTION_REPLY = {
  ack: 1,
  server: 2,
  info: 3,
  unsupported: 0x80000001,
  invalid: 0x80000003,
  unknown: 0x80000006,
  tooBig: 0x80000009,
} as const;

export const INFO = { export: 0, blockSize: 3 } as const;

/** What the export can. Always: flush, FUA, trim, write-zeroes. */
export const EXPORT_FLAGS = 1 | 4 | 8 | 32 | 64;

export const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, writeZeroes: 6 } as const;

export const COMMAND_FLAG = { fua: 1, noHole: 2 } as const;

/** Errors as they travel: values of their own, equal to Linux's. */
export const NBD_ERROR = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;

/** Longest data of one request; said to the client. */
export const PAYLOAD_BYTES_MAX = 32 * 1024 * 1024;
