// SPDX-License-Identifier: Apache-2.0
/**
 * The inside of a `packets` frame: u64 number of the first packet, u16 how many, then each as u32 length + bytes.
 * Best effort: what does not fit is sent in another frame, and nothing waits for it.
 */
import type { PacketsFrame } from '../../protocol/frames.js';
import { PACKET_BYTES_MAX } from '../netdev.js';
import { ChannelError } from './errors.js';
import type { WireReader, WireWriter } from './wire.js';

/** As many as one look at a tap brings. */
export const PACKETS_MAX = 128;
/** Of all packets of a frame, their lengths' words included; the longest packet fits. */
export const PACKETS_BYTES_MAX = 96 * 1024;
const HEAD_BYTES = 8 + 2;
const LENGTH_BYTES = 4;
export const PACKETS_PAYLOAD_MAX = HEAD_BYTES + PACKETS_BYTES_MAX;

const wireBytes = (packet: Uint8Array): number => LENGTH_BYTES + packet.length;

/** As frames that keep the bounds. @throws RangeError for a packet that QEMU would not take. */
export function* packetFrames(first: number, packets: readonly Uint8Array[]): Generator<PacketsFrame> {
  let from = 0;
  let bytes = 0;
  for (const [i, packet] of packets.entries()) {
    if (packet.length > PACKET_BYTES_MAX) throw new RangeError(`a packet of ${packet.length} bytes`);
    if (i - from === PACKETS_MAX || bytes + wireBytes(packet) > PACKETS_BYTES_MAX) {
      yield { type: 'packets', first: first + from, packets: packets.slice(from, i) };
      from = i;
      bytes = 0;
    }
    bytes += wireBytes(packet);
  }
  if (from < packets.length) yield { type: 'packets', first: first + from, packets: packets.slice(from) };
}

export function payloadBytes({ packets }: PacketsFrame): number {
  return packets.reduce((sum, packet) => sum + wireBytes(packet), HEAD_BYTES);
}

export function writePackets(w: WireWriter, { first, packets }: PacketsFrame): void {
  w.u64(first);
  w.u16(packets.length);
  for (const packet of packets) {
    w.u32(packet.length);
    w.bytes(packet);
  }
}

/** The packets are copies. @throws ChannelError */
export function readPackets(r: WireReader): PacketsFrame {
  const first = r.u64();
  const count = r.u16();
  if (count < 1 || count > PACKETS_MAX) throw malformed(`a frame of ${count} packets`);
  if (first < 1 || !Number.isSafeInteger(first + count)) throw malformed(`packet number ${first}`);
  return { type: 'packets', first, packets: Array.from({ length: count }, () => readPacket(r)) };
}

function readPacket(r: WireReader): Buffer {
  const length = r.u32();
  if (length > PACKET_BYTES_MAX) throw malformed(`a packet of ${length} bytes`);
  return r.copy(length);
}

function malformed(detail: string): ChannelError {
  return new ChannelError('CHANNEL_MALFORMED', detail);
}
