// SPDX-License-Identifier: Apache-2.0
/** What a guest asks of a disk. Its data are never seen by the protocol. */
export interface DiskRequest {
  /** A trim is a `zero` too: both sides must read the same afterwards. */
  readonly kind: 'read' | 'write' | 'zero' | 'flush';
  /** Bytes. */
  readonly offset: number;
  readonly length: number;
  /** On the medium before it is answered. */
  readonly fua: boolean;
  /** Of `zero`: the image need not keep room for it. */
  readonly mayPunch: boolean;
}

/** How a request came out. */
export interface DiskOutcome {
  /** Number of the error, as NBD has it; 0: none. */
  readonly error: number;
  /** Bytes from the request's beginning that were written before the error. */
  readonly written: number;
}

export const FINE: DiskOutcome = { error: 0, written: 0 };

export const isMutation = ({ kind }: DiskRequest): boolean => kind === 'write' || kind === 'zero';
