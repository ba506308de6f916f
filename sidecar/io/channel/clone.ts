// SPDX-License-Identifier: Apache-2.0
/**
 * A connection of purpose `clone` carries the migration stream as it is: QEMU writes to a unix socket on one host and
 * reads from one on the other, and the slower of all three holds the others back.
 */
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { Transform } from 'node:stream';
import { rm } from 'node:fs/promises';

/** Passes bytes on and tells how many. */
class ByteCounter extends Transform {
  bytes = 0;

  override _transform(chunk: Buffer, _encoding: string, done: (error: null, chunk: Buffer) => void): void {
    this.bytes += chunk.length;
    done(null, chunk);
  }
}

/**
 * Moves the stream from `source` to its end, then ends `target`. Resolves to the number of bytes; rejects when either
 * breaks or `signal` aborts, and destroys both.
 */
export async function pumpClone(source: Duplex, target: Duplex, signal: AbortSignal): Promise<number> {
  const counter = new ByteCounter();
  await pipeline(source, counter, target, { signal });
  return counter.bytes;
}

export interface MigrationSocket {
  readonly path: string;
  /** The one connection that QEMU makes. Rejects when `close` comes first. */
  readonly accepted: Promise<Socket>;
  close(): Promise<void>;
}

/** Source: QEMU's `migrate` is told to go to `unix:<path>`. */
export async function listenForMigration(path: string): Promise<MigrationSocket> {
  await rm(path, { force: true });
  const server = createServer({ pauseOnConnect: true });
  server.maxConnections = 1;
  const accepted = new Promise<Socket>((resolve, reject) => {
    server.once('connection', (socket) => {
      server.close();
      resolve(socket);
    });
    server.once('close', () => reject(new Error('closed before QEMU connected')));
  });
  accepted.catch(() => undefined); // told to who awaits it; nobody need
  await listening(server, path);
  return { path, accepted, close: () => closeServer(server) };
}

/** Destination: QEMU listens (`-incoming defer`, then `migrate-incoming unix:<path>`). */
export function connectToMigration(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (server.listening) server.close(() => resolve());
    else resolve();
  });
}
