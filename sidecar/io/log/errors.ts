// SPDX-License-Identifier: Apache-2.0
import type { EventFault } from '../../../native/addon/index.js';

export type LogErrorCode =
  | EventFault
  /** The file is neither a ring nor a log whose version is known. */
  | 'LOG_VERSION'
  /** QEMU overwrote what was being read. */
  | 'LOG_LOST'
  /** No event begins in what is left of the log. */
  | 'LOG_NO_EVENT'
  /** Two logs have no position in common. */
  | 'LOG_APART'
  | 'LOG_READ'
  | 'LOG_NO_SUCH_KIND';

export class LogError extends Error {
  override readonly name = 'LogError';

  /** @param lsn where in the log, null when it is not about a place */
  constructor(
    readonly code: LogErrorCode,
    message: string,
    readonly lsn: number | null,
  ) {
    super(message);
  }
}
