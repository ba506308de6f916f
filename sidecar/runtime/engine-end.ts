// SPDX-License-Identifier: Apache-2.0
/**
 * How QEMU's end shows, and what it means. A guest that switches itself off ends its QEMU, and nobody may take over for it;
 * any other end is a failure. QEMU says which on its monitor (SHUTDOWN), and closes that last; its NIC's socket may break
 * before, with a reset when a packet was not read. So what the monitor has said counts, up to its close. Under libvirt QEMU
 * stays when its guest has switched itself off (-no-shutdown), until libvirt ends it by a signal: that is told as one more
 * SHUTDOWN, and changes nothing; nor is it waited for long.
 */

/** From the end of the NIC to the end of the monitor QEMU only tidies up, or is dead and the kernel closes both. */
const MONITOR_CLOSE_MS_MAX = 500;
/** A guest that is off and a QEMU that stays: shorter than the protocol takes a silent engine for a hung one (stuckAfterMs). */
const STAYS_MS_MAX = 2_000;

export interface EngineEndHandlers {
  /** The guest switched itself off. */
  readonly exited: () => void;
  readonly failed: (error: Error) => void;
}

/** Calls one of its handlers, once. */
export class EngineEnd {
  private guestShutDown = false;
  private isTold = false;
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly handlers: EngineEndHandlers,
    private readonly monitorCloseMsMax = MONITOR_CLOSE_MS_MAX,
    private readonly staysMsMax = STAYS_MS_MAX,
  ) {}

  /** An event of the monitor. */
  event(name: string, data: unknown): void {
    if (name !== 'SHUTDOWN' || (data as { guest?: boolean } | undefined)?.guest !== true) return;
    this.guestShutDown = true;
    this.timer ??= setTimeout(() => {
      this.tell(new Error('the guest is off'));
    }, this.staysMsMax);
  }

  monitorClosed(error: Error): void {
    this.tell(error);
  }

  /** QEMU lives on without its NIC, or without a disk: that is a failure as well, told when the monitor had its time. */
  socketBroken(error: Error): void {
    this.timer ??= setTimeout(() => {
      this.tell(error);
    }, this.monitorCloseMsMax);
  }

  private tell(error: Error): void {
    if (this.isTold) return;
    this.isTold = true;
    if (this.timer !== null) clearTimeout(this.timer);
    if (this.guestShutDown) this.handlers.exited();
    else this.handlers.failed(error);
  }
}
