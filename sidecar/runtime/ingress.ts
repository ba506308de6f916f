// SPDX-License-Identifier: Apache-2.0
/**
 * Packets on their way to the guest. A side that records gives them to its QEMU as they come, and right after that to its
 * backup. A backup's guest gets them from the log; what its primary forwarded and the log does not hold yet
 * (forwarded.ts), and what its own network brings (recent.ts), is kept for the case that it goes live: the output rule
 * does not depend on it, the clients' patience does. While a guest is brought to rest for a clone packets are held, but
 * not here: the shim leaves them in the NIC's socket.
 */
import type { Tap } from '../../native/addon/index.js';
import { ForwardedPackets } from './forwarded.js';
import { RecentFrames } from './recent.js';

export interface IngressOptions {
  readonly tap: Pick<Tap, 'start'>;
  /** Gives packets to QEMU. Returns how many it took: the first so many. */
  readonly deliver: (packets: readonly Uint8Array[]) => number;
  /** Gives packets that QEMU was given to the backup, if there is one. `first`: number of the first, from 1. */
  readonly forward: (first: number, packets: readonly Uint8Array[]) => void;
  readonly onError: (error: Error) => void;
}

/** Packets that were kept for the guest. */
export interface KeptPackets {
  readonly forwarded: number;
  readonly own: number;
}

export class Ingress {
  private isOpen = false;
  /** Packets that this side's QEMU was given. */
  private delivered = 0;
  private readonly forwarded = new ForwardedPackets();
  private readonly recent = new RecentFrames();

  constructor(private readonly options: IngressOptions) {
    options.tap.start({
      onFrames: (frames) => {
        if (this.isOpen) this.deliver(frames);
        else this.recent.put(frames, performance.now());
      },
      onError: options.onError,
    });
  }

  /** From now on packets go to the guest; first those that the primary had, then those that came lately. */
  open(): KeptPackets {
    if (this.isOpen) return { forwarded: 0, own: 0 };
    this.isOpen = true;
    const forwarded = this.forwarded.take();
    const own = this.recent.take(performance.now());
    if (forwarded.length + own.length > 0) this.deliver([...forwarded, ...own]);
    return { forwarded: forwarded.length, own: own.length };
  }

  /** Backup: the primary has given these to its QEMU, numbered from `first`. Keeps the buffers. */
  fromPrimary(first: number, packets: readonly Uint8Array[]): void {
    if (this.isOpen) return;
    const now = performance.now();
    if (this.forwarded.put(first, packets)) this.recent.doubt(now);
    this.recent.cancel(packets, now);
  }

  /** Backup: the log that is here holds that many of the primary's packets. */
  inLog(packets: number): void {
    if (this.forwarded.inLog(packets)) this.recent.doubt(performance.now());
  }

  /** Backup: another log begins, and with it another count. */
  newLog(): void {
    this.forwarded.clear();
  }

  private deliver(packets: readonly Uint8Array[]): void {
    const taken = this.options.deliver(packets);
    if (taken === 0) return;
    const first = this.delivered + 1;
    this.delivered += taken;
    this.options.forward(first, packets.slice(0, taken));
  }
}
