// SPDX-License-Identifier: Apache-2.0
/** What both ends of a copy have in common: how they hear each other, and how far they are. */
import type { Duplex } from 'node:stream';
import { CopyReader, type CopyMessage } from '../../io/disk/copy-wire.js';

export class CopyError extends Error {
  readonly code = 'LOCKSTEP_COPY';
}

/** Of a copy, or of one disk's share in it. */
export interface CopyProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** Of all disks. */
export const progressOf = (
  parts: readonly { readonly doneBytes: number; readonly bytes: number }[],
): CopyProgress => ({
  doneBytes: parts.reduce((sum, { doneBytes }) => sum + doneBytes, 0),
  totalBytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
});

export interface CopyListener {
  /** Who is at the other end, for people. */
  readonly peer: string;
  /** @throws CopyError for what it cannot have meant */
  readonly onMessage: (message: CopyMessage) => void;
  /** The connection has ended or makes no sense; may be told again. */
  readonly onBroken: (error: Error) => void;
}

export function hear(socket: Duplex, { peer, onMessage, onBroken }: CopyListener): void {
  const reader = new CopyReader(onMessage);
  socket.on('data', (bytes: Buffer) => {
    try {
      reader.push(bytes);
    } catch (error) {
      onBroken(error as Error);
    }
  });
  socket.once('error', onBroken);
  socket.once('close', () => {
    onBroken(new CopyError(`the ${peer} has closed the connection`));
  });
  socket.resume(); // connections are handed over paused
}
