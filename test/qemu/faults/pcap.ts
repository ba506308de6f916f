// SPDX-License-Identifier: Apache-2.0
// Reads what `tcpdump -w` wrote: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html, little-endian,
// with nanoseconds.

export interface CapturedPacket {
  /** Wall clock, nanoseconds since 1970. */
  readonly atNs: bigint;
  readonly bytes: Buffer;
}

const FILE_HEADER_BYTES = 24;
const PACKET_HEADER_BYTES = 16;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const NS_PER_S = 1_000_000_000n;

/** @throws Error when it is not such a file, or one with packets that were cut short. A last packet that was not written whole is left out. */
export function readPcap(file: Buffer): CapturedPacket[] {
  if (file.length < FILE_HEADER_BYTES || file.readUInt32LE(0) !== MAGIC_NANOSECONDS) {
    throw new Error('not a little-endian pcap file with nanoseconds');
  }
  const packets: CapturedPacket[] = [];
  let at = FILE_HEADER_BYTES;
  while (at + PACKET_HEADER_BYTES <= file.length) {
    const length = file.readUInt32LE(at + 8);
    if (file.readUInt32LE(at + 12) !== length) throw new Error('the capture has cut a packet short');
    const end = at + PACKET_HEADER_BYTES + length;
    if (end > file.length) break;
    const atNs = BigInt(file.readUInt32LE(at)) * NS_PER_S + BigInt(file.readUInt32LE(at + 4));
    packets.push({ atNs, bytes: file.subarray(at + PACKET_HEADER_BYTES, end) });
    at = end;
  }
  return packets;
}
