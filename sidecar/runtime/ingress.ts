// SPDX-License-Identifier: Apache-2.0
/**
 * Packets on their way to the guest. A backup's guest gets them from the log; what its own network brings is kept for a
 * moment, for the case that it goes live (recent.ts). While a guest is brought to rest for a clone they are held, but not
 * here: the shim leaves them in the NIC's socket.
 */
import type { Tap } from '../../native/addon/index.js';
import { RecentFrames } from './recent.js';

export class Ingress {
  private isOpen = false;
  private readonly recent = new RecentFrames();

  constructor(
    tap: Tap,
    private readonly deliver: (frames: Buffer[]) => void,
    onError: (error: Error) => void,
  ) {
    tap.start({
      onFrames: (frames) => {
        if (this.isOpen) deliver(frames);
        else this.recent.put(frames, performance.now());
      },
      onError,
    });
  }

  /** From now on packets go to the guest; first those that came lately. */
  open(): void {
    if (this.isOpen) return;
    this.isOpen = true;
    const frames = this.recent.take(performance.now());
    if (frames.length > 0) this.deliver(frames);
  }
}
