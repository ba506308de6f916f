// SPDX-License-Identifier: Apache-2.0
/**
 * Bytes of log and packets that were sent to the backup and are not known to be there, wherever on the way they stand.
 * A socket's `writableLength` is only what Node still has: the kernel takes megabytes before that grows, and log and
 * beats stand behind them. The backup acknowledges log as it comes, and frames of one connection are in order: with a
 * piece of log everything has arrived that was sent before it, packets too, which nobody acknowledges.
 */
import type { Lsn } from '../protocol/types.js';

/**
 * Packets go out as long as no more than this is under way, they included. It is what log and beats wait for at most on
 * account of packets: 13 ms on a wire of 10 MB/s; and no less than a fast wire takes up while the backup answers.
 */
export const UNDER_WAY_BYTES_MAX = 128 * 1024;

/** Between two marks there is a packet, and few bytes of packets are under way: more come only of empty packets. */
const MARKS_MAX = 4096;

interface Mark {
  /** When this is acknowledged, */
  readonly lsn: Lsn;
  /** so many bytes of packets have arrived. */
  readonly packetBytes: number;
}

/** Of one connection at a time. */
export class UnderWay {
  private shipped: Lsn = 0;
  private acked: Lsn = 0;
  /** Since the connection's start. */
  private packetBytes = 0;
  private packetBytesArrived = 0;
  private marks: Mark[] = [];

  /** Another connection: log begins at `from`, and nothing is under way on it. */
  restart(from: Lsn): void {
    this.shipped = from;
    this.acked = from;
    this.packetBytes = 0;
    this.packetBytesArrived = 0;
    this.marks = [];
  }

  /** All log below `to` was sent. */
  shippedTo(to: Lsn): void {
    this.shipped = to;
    // The log that was sent first after the packets tells of them first.
    if (this.packetBytes === (this.marks.at(-1)?.packetBytes ?? this.packetBytesArrived)) return;
    if (this.marks.length === MARKS_MAX) this.marks.pop(); // told a little later, by the one that comes now
    this.marks.push({ lsn: to, packetBytes: this.packetBytes });
  }

  /** `bytes` of packets were sent. */
  forwarded(bytes: number): void {
    this.packetBytes += bytes;
  }

  /** The backup has all log below `received`. */
  acknowledged(received: Lsn): void {
    this.acked = Math.max(this.acked, Math.min(received, this.shipped));
    let arrived = 0;
    for (const mark of this.marks) {
      if (mark.lsn > this.acked) break;
      this.packetBytesArrived = mark.packetBytes;
      arrived += 1;
    }
    this.marks.splice(0, arrived);
  }

  get bytes(): number {
    return this.shipped - this.acked + this.packetBytes - this.packetBytesArrived;
  }

  /** Bytes of packets that may be sent now. */
  get roomForPackets(): number {
    return Math.max(0, UNDER_WAY_BYTES_MAX - this.bytes);
  }
}
