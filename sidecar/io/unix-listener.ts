// SPDX-License-Identifier: Apache-2.0
/** Connections of a unix socket, one at a time, as descriptors: Node's own server does not tell who is at the other end. */
import { closeSync, rmSync } from 'node:fs';
import {
  acceptUnix,
  AddonError,
  FDS_TIMEOUT_MS_MAX,
  listenUnix,
  shutdownSocket,
} from '../../native/addon/index.js';

export class UnixListener {
  private isClosed = false;

  private constructor(private readonly fd: number) {}

  /** What an earlier life left at `path` is replaced. `backlog`: of listenUnix. @throws AddonError */
  static open(path: string, backlog?: number): UnixListener {
    rmSync(path, { force: true });
    return new UnixListener(listenUnix(path, backlog));
  }

  /** Waits for the next connection, which is the caller's to close; null: closed. @throws AddonError */
  async accept(): Promise<number | null> {
    for (;;) {
      if (this.isClosed) return null;
      const accepted = await acceptUnix(this.fd, FDS_TIMEOUT_MS_MAX).catch(this.nobody);
      if (accepted !== null) return accepted;
    }
  }

  private readonly nobody = (error: unknown): null => {
    const nobodyCame = error instanceof AddonError && error.code === 'FDS_TIMEOUT';
    if (nobodyCame || this.isClosed) return null;
    throw error;
  };

  /** Who waits in `accept` goes on. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    shutdownSocket(this.fd);
    closeSync(this.fd);
  }
}
