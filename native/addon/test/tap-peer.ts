// SPDX-License-Identifier: Apache-2.0
// A made-up host behind a tap: answers ARP requests for any address and ICMP echo requests.

const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV4 = 0x0800;
const PEER_MAC = Buffer.from('020000000002', 'hex');

/** The Internet checksum (RFC 1071) of bytes whose own checksum field is 0; 0 over bytes that include a valid one. */
export function internetChecksum(...parts: Buffer[]): number {
  const bytes = Buffer.concat(parts);
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2)
    sum += (bytes[i] ?? 0) * 256 + (i + 1 < bytes.length ? (bytes[i + 1] ?? 0) : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function answerArp(frame: Buffer): Buffer | null {
  if (frame.readUInt16BE(20) !== 1) return null;
  const reply = Buffer.from(frame.subarray(0, 42));
  const asked = Buffer.from(frame.subarray(38, 42));
  frame.copy(reply, 32, 22, 32);
  reply.writeUInt16BE(2, 20);
  PEER_MAC.copy(reply, 22);
  asked.copy(reply, 28);
  return reply;
}

function answerEcho(frame: Buffer): Buffer | null {
  if (frame[23] !== 1 || frame[34] !== 8) return null;
  const reply = Buffer.from(frame);
  frame.copy(reply, 26, 30, 34);
  frame.copy(reply, 30, 26, 30);
  reply[34] = 0;
  reply.writeUInt16BE(0, 36);
  reply.writeUInt16BE(internetChecksum(reply.subarray(34)), 36);
  return reply;
}

/** The frame that the peer sends back, or null. */
export function answer(frame: Buffer): Buffer | null {
  if (frame.length < 42) return null;
  const type = frame.readUInt16BE(12);
  const reply =
    type === ETHERTYPE_ARP ? answerArp(frame) : type === ETHERTYPE_IPV4 ? answerEcho(frame) : null;
  if (reply === null) return null;
  frame.copy(reply, 0, 6, 12);
  PEER_MAC.copy(reply, 6);
  return reply;
}
