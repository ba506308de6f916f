// SPDX-License-Identifier: Apache-2.0
/** How a side ends: QEMU is killed, the place is told, what was sent last may go out; then it is over whatever happens. */
import type { EndReason } from '../protocol/reasons.js';

const SHUTDOWN_MS_MAX = 1_000;

export interface Ending {
  readonly reason: EndReason;
  readonly detail: string;
  /** The VM was switched off, or this side was told to leave. */
  readonly onPurpose: boolean;
  /** The protocol had begun: this QEMU was part of the VM's life. */
  readonly hadBegun: boolean;
}

export interface EndingHandlers {
  /** Once: this side has decided to end, and QEMU was told to die. */
  readonly onEnding: (ending: Ending) => void;
  /** Once, after `onEnding`: all is closed, or had its time. `failed`: it could not even be ended in order. */
  readonly onEnd: (ending: Ending, failed: boolean) => void;
}

export interface EndingSteps {
  /** Throws: QEMU could not be told. Its guest is held all the same, when this side's beat has ended. */
  kill(): void;
  /** Closes everything. */
  shutdown(): Promise<void>;
}

/** To be called once for each side. */
export function endSide(
  ending: Ending,
  steps: EndingSteps,
  handlers: EndingHandlers,
  shutdownMsMax = SHUTDOWN_MS_MAX,
): void {
  let isOver = false;
  const over = (failed: boolean): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    handlers.onEnd(ending, failed);
  };
  const timer = setTimeout(over, shutdownMsMax, false);
  const isKilled = succeeds(() => {
    steps.kill();
  });
  handlers.onEnding(ending);
  if (!isKilled) over(true); // never a sidecar that only half ends
  steps.shutdown().then(
    () => {
      over(false);
    },
    () => {
      over(true);
    },
  );
}

function succeeds(step: () => void): boolean {
  try {
    step();
    return true;
  } catch {
    return false;
  }
}
