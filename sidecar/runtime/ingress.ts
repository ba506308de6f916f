// SPDX-License-Identifier: Apache-2.0
/** Packets on their way to the guest. */
import type { Tap } from '../../native/addon/index.js';

/**
 * `discard`: a backup; its guest gets its packets from the log. `hold`: the kernel keeps them, for the moment of a
 * clone point: a dropped packet would cost its sender a retransmission time-out of 200 ms. `flow`: to the guest.
 */
export type IngressState = 'discard' | 'hold' | 'flow';

export class Ingress {
  private state: IngressState = 'discard';

  constructor(
    private readonly tap: Tap,
    private readonly deliver: (frames: Buffer[]) => void,
    onError: (error: Error) => void,
  ) {
    tap.start({
      onFrames: (frames) => {
        if (this.state !== 'discard') this.deliver(frames); // a last batch may come after `hold`
      },
      onError,
    });
  }

  set(state: IngressState): void {
    if (state === 'hold') this.tap.pause();
    else if (this.state === 'hold') this.tap.resume();
    this.state = state;
  }
}
