// SPDX-License-Identifier: Apache-2.0
/** Ethernet (IEEE 802.3, 802.1Q) and what it carries, as far as it is about who is where. */
export const MAC_BYTES = 6;
/** Without VLAN tags. */
export const ETHERNET_HEADER_BYTES = 14;
/** Without the checksum that hardware adds. */
export const FRAME_BYTES_MIN = 60;
export const TAG_BYTES = 4;
/** A customer's tag within a provider's. */
export const TAGS_MAX = 2;
export const TYPE_IPV4 = 0x0800;
export const TYPE_ARP = 0x0806;
export const TYPE_RARP = 0x8035;
export const TYPE_IPV6 = 0x86dd;
export const TYPE_VLAN = 0x8100;
export const TYPE_PROVIDER_VLAN = 0x88a8;
export const IPV6_HEADER_BYTES = 40;
/** In a frame without tags. */
export const IPV6_NEXT_HEADER = ETHERNET_HEADER_BYTES + 6;
export const ICMPV6 = 58;
export const NEIGHBOR_SOLICITATION = 135;
export const NEIGHBOR_ADVERTISEMENT = 136;
const VLAN_ID_MASK = 0x0fff;

/** Bytes of VLAN tags behind the addresses. */
export function tagBytesOf(frame: Buffer): number {
  let bytes = 0;
  while (bytes < TAGS_MAX * TAG_BYTES && frame.length >= ETHERNET_HEADER_BYTES + bytes) {
    const type = frame.readUInt16BE(2 * MAC_BYTES + bytes);
    if (type !== TYPE_VLAN && type !== TYPE_PROVIDER_VLAN) break;
    bytes += TAG_BYTES;
  }
  return bytes;
}

/** The tags, without the priority that each frame has for itself. */
export function vlanOf(frame: Buffer, tagBytes: number): Buffer {
  const tags = Buffer.from(frame.subarray(2 * MAC_BYTES, 2 * MAC_BYTES + tagBytes));
  for (let at = 2; at < tagBytes; at += TAG_BYTES)
    tags.writeUInt16BE(tags.readUInt16BE(at) & VLAN_ID_MASK, at);
  return tags;
}

/** Null when the frame ends before. */
export function cut(frame: Buffer, at: number, bytes: number): Buffer | null {
  return frame.length >= at + bytes ? frame.subarray(at, at + bytes) : null;
}
