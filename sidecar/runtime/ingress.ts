// SPDX-License-Identifier: Apache-2.0
/**
 * Packets on their way to the guest. A backup's are thrown away: its guest gets them from the log. While a guest is
 * brought to rest for a clone they are held, but not here: the shim leaves them in the NIC's socket.
 */
import type { Tap } from '../../native/addon/index.js';

export class Ingress {
  private isOpen = false;

  constructor(tap: Tap, deliver: (frames: Buffer[]) => void, onError: (error: Error) => void) {
    tap.start({
      onFrames: (frames) => {
        if (this.isOpen) deliver(frames);
      },
      onError,
    });
  }

  /** From now on packets go to the guest. */
  open(): void {
    this.isOpen = true;
  }
}
