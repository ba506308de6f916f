// SPDX-License-Identifier: Apache-2.0
/**
 * How many packets for the guest the log holds up to a position. The shim counts them at the log's head; log is shipped
 * up to positions that were the head before, and the backup must be told of no packet that it does not have.
 */
import type { Lsn } from '../protocol/types.js';

interface Mark {
  /** All of `packets` lie below. */
  readonly lsn: Lsn;
  readonly packets: number;
}

/** More than the log that is under way holds, as long as packets are not tiny and the backup keeps up. */
export const MARKS_MAX = 4096;

export class PacketMarks {
  private readonly marks: Mark[] = [];

  /** `packets` was read before `lsn`, the head. Both only grow. */
  note(packets: number, lsn: Lsn): void {
    if (packets === (this.marks.at(-1)?.packets ?? 0)) return;
    this.marks.push({ lsn, packets });
    if (this.marks.length > MARKS_MAX) this.marks.splice(0, MARKS_MAX / 2);
  }

  /** Packets known to lie below `lsn`: all of them, if it is a position that was noted. 0 when that was forgotten. */
  below(lsn: Lsn): number {
    return this.marks.findLast((mark) => mark.lsn <= lsn)?.packets ?? 0;
  }
}
