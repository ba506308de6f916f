// SPDX-License-Identifier: Apache-2.0
/**
 * A connection of purpose `clone` carries the migration stream as it is: QEMU writes to a unix socket on one host and
 * reads from one on the other, and the slower of all three holds the others back.
 *
 * On the primary the guest is at work meanwhile, and its packets go through this process: here the stream is read
 * into the same few buffers again and again, off the main thread. Node's own sockets make a new buffer for each read, and
 * the garbage of a whole guest's memory cost eight collections of 20 to 40 ms a clone.
 */
import { closeSync, read } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createConnection, type Socket } from 'node:net';
import type { Duplex, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { acceptUnix, listenUnix, shutdownSocket } from '../../../native/addon/index.js';

const readSome = promisify(read);

/** As much as a unix socket holds by default, so that a read takes all that waits. */
const PIECE_BYTES = 256 * 1024;

/**
 * Moves the stream from `source` to its end, then ends `target`. Rejects when either breaks or `signal` aborts, and
 * destroys both.
 */
export async function pumpClone(source: Duplex, target: Duplex, signal: AbortSignal): Promise<void> {
  joinWrites(source, target);
  await pipeline(source, target, { signal });
}

/** What comes in one turn of the event loop, many TLS records, goes to `target` in one write: QEMU is woken once. */
function joinWrites(source: Duplex, target: Duplex): void {
  let joining = false;
  source.on('data', () => {
    if (joining) return;
    joining = true;
    target.cork();
    setImmediate(() => {
      joining = false;
      target.uncork();
    });
  });
}

/** Source: QEMU's `migrate` is told to go to `unix:<path>`. */
export class MigrationListener {
  private constructor(
    private readonly fd: number,
    readonly path: string,
  ) {}

  /** What an earlier clone left at `path` is replaced. */
  static async open(path: string): Promise<MigrationListener> {
    await rm(path, { force: true });
    return new MigrationListener(listenUnix(path), path);
  }

  /** The one connection that QEMU makes. @throws AddonError FDS_TIMEOUT when it does not come */
  async accept(timeoutMs: number): Promise<MigrationSource> {
    return new MigrationSource(await acceptUnix(this.fd, timeoutMs));
  }

  async close(): Promise<void> {
    closeSync(this.fd);
    await rm(this.path, { force: true });
  }
}

/** What QEMU sends. Ends when QEMU closes: at the end of the stream, when the migration is cancelled, when it dies. */
export class MigrationSource {
  private isClosed = false;

  constructor(private readonly fd: number) {}

  /** Ends `pumpTo`, also where QEMU stands still and sends nothing; QEMU's migration fails. */
  abort(): void {
    if (!this.isClosed) shutdownSocket(this.fd);
  }

  /**
   * Moves the stream to its end, then ends `target`. To be called once.
   * @param onBytes is told how many bytes `target` has taken so far.
   * @returns the number of bytes. @throws when either end breaks
   */
  async pumpTo(target: Writable, onBytes: (moved: number) => void = () => undefined): Promise<number> {
    try {
      return await this.moveAll(target, onBytes);
    } finally {
      this.isClosed = true;
      closeSync(this.fd);
    }
  }

  /** One buffer is read into while the other is written. */
  private async moveAll(target: Writable, onBytes: (moved: number) => void): Promise<number> {
    const buffers = [Buffer.allocUnsafeSlow(PIECE_BYTES), Buffer.allocUnsafeSlow(PIECE_BYTES)] as const;
    let [filling, writing]: [Buffer, Buffer] = [...buffers];
    let written = Promise.resolve();
    let bytes = 0;
    for (;;) {
      const { bytesRead } = await readSome(this.fd, filling, 0, PIECE_BYTES, null);
      await written;
      onBytes(bytes);
      if (bytesRead === 0) break;
      bytes += bytesRead;
      written = write(target, filling.subarray(0, bytesRead));
      written.catch(() => undefined); // told by the await above, a read later
      [filling, writing] = [writing, filling];
    }
    // The end of a destroyed stream calls nobody back.
    if (target.destroyed) throw new Error('the connection to the backup is closed');
    target.end();
    await finished(target, { readable: false });
    return bytes;
  }
}

/** Resolves when the bytes may be changed again. */
function write(target: Writable, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    target.write(bytes, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
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
