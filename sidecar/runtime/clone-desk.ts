// SPDX-License-Identifier: Apache-2.0
/** Clone connections come by themselves; whoever wants one may ask before or after. */
import type { Duplex } from 'node:stream';
import { ChannelError } from '../io/channel/errors.js';
import { CloneError, GIVE_UP_MS_MAX } from '../io/clone.js';
import type { Nonce } from '../protocol/types.js';

export interface CloneDeskLimits {
  /** A backup opens its clone connection right after it was welcomed. */
  readonly arriveMsMax: number;
  /** One that nobody has taken by then is destroyed: it counts among the connections that the listener lets in. */
  readonly untakenMsMax: number;
}

const ARRIVE_MS_MAX = 5_000;
const LIMITS: CloneDeskLimits = {
  arriveMsMax: ARRIVE_MS_MAX,
  // It is asked for when the migration before it has ended.
  untakenMsMax: ARRIVE_MS_MAX + GIVE_UP_MS_MAX,
};

interface Arrived<S> {
  readonly socket: S;
  readonly timer: NodeJS.Timeout;
}

/** One connection at most of each peer. */
export class CloneDesk<S extends Duplex> {
  private readonly arrived = new Map<Nonce, Arrived<S>>();
  private readonly wanted = new Map<Nonce, (socket: S) => void>();

  constructor(private readonly limits: CloneDeskLimits = LIMITS) {}

  put(peer: Nonce, socket: S): void {
    const taker = this.wanted.get(peer);
    if (taker !== undefined) {
      taker(socket);
      return;
    }
    this.drop(peer);
    const timer = setTimeout(() => {
      this.drop(peer);
    }, this.limits.untakenMsMax);
    this.arrived.set(peer, { socket, timer });
    socket.once('close', () => {
      if (this.arrived.get(peer)?.socket === socket) this.drop(peer);
    });
  }

  /** The connection of `peer`, here or to come. @throws ChannelError CHANNEL_TIMEOUT; CloneError when `signal` aborts. */
  take(peer: Nonce, signal: AbortSignal): Promise<S> {
    const ready = this.arrived.get(peer);
    if (ready !== undefined) {
      this.forget(peer, ready);
      return Promise.resolve(ready.socket);
    }
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        this.wanted.delete(peer);
      };
      const onAbort = (): void => {
        done();
        reject(new CloneError('given up before the backup opened its connection'));
      };
      const timer = setTimeout(() => {
        done();
        reject(new ChannelError('CHANNEL_TIMEOUT', 'the backup opened no connection for the clone'));
      }, this.limits.arriveMsMax);
      this.wanted.set(peer, (socket) => {
        done();
        resolve(socket);
      });
      signal.addEventListener('abort', onAbort);
      if (signal.aborted) onAbort();
    });
  }

  close(): void {
    for (const peer of [...this.arrived.keys()]) this.drop(peer);
  }

  private drop(peer: Nonce): void {
    const untaken = this.arrived.get(peer);
    if (untaken === undefined) return;
    this.forget(peer, untaken);
    untaken.socket.destroy();
  }

  private forget(peer: Nonce, { timer }: Arrived<S>): void {
    clearTimeout(timer);
    this.arrived.delete(peer);
  }
}
