// SPDX-License-Identifier: Apache-2.0
/**
 * Packets that the primary's host has received and that its log may never tell of. From the tap to the backup's memory
 * a packet's way through QEMU and the log takes most of a millisecond; a host that dies in that time would take it with
 * it, and the client's TCP waits 200 ms before it sends it again. So the primary sends each packet by the shorter way as
 * well, with the number under which it gave it to its QEMU; each piece of log tells how many packets the log holds so
 * far; and what is left here when this side goes live are exactly those that its guest has not seen.
 *
 * Packets for which log and beats would have to wait are not forwarded: there are gaps in the numbers, usually the newest
 * at first. To the guest they are packets that a network has lost.
 */

/** More than is on its way between tap and log, unless the guest does not take up its packets at all. */
const PACKETS_MAX = 1024;
const BYTES_MAX = 1024 * 1024;

interface Numbered {
  readonly number: number;
  readonly packet: Uint8Array;
}

export class ForwardedPackets {
  private kept: Numbered[] = [];
  private bytes = 0;
  private logged = 0;
  /** Every packet up to this number was forwarded or is known to be left out. */
  private known = 0;

  /**
   * `first` is the number of the first one: 1 is the first that this primary gave to its QEMU. Keeps the buffers. Returns
   * whether it shows that others were left out.
   */
  put(first: number, packets: readonly Uint8Array[]): boolean {
    const showsGap = first > this.known + 1;
    this.known = Math.max(this.known, first + packets.length - 1);
    packets.forEach((packet, i) => {
      this.kept.push({ number: first + i, packet });
      this.bytes += packet.length;
    });
    this.forget();
    return showsGap;
  }

  /**
   * The log that is here holds the first `packets` of them. Returns whether it shows that some were left out: a packet is
   * forwarded before its log is sent.
   */
  inLog(packets: number): boolean {
    const showsGap = packets > this.known;
    this.known = Math.max(this.known, packets);
    this.logged = Math.max(this.logged, packets);
    this.forget();
    return showsGap;
  }

  /** In their order; nothing is kept any more. */
  take(): Uint8Array[] {
    const packets = this.kept.map(({ packet }) => packet);
    this.clear();
    return packets;
  }

  /** Another primary's history begins. */
  clear(): void {
    this.kept = [];
    this.bytes = 0;
    this.logged = 0;
    this.known = 0;
  }

  private forget(): void {
    for (;;) {
      const [oldest] = this.kept;
      if (oldest === undefined || !this.mayGo(oldest)) return;
      this.kept.shift();
      this.bytes -= oldest.packet.length;
    }
  }

  private mayGo({ number }: Numbered): boolean {
    return number <= this.logged || this.kept.length > PACKETS_MAX || this.bytes > BYTES_MAX;
  }
}
