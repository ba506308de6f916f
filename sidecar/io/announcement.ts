// SPDX-License-Identifier: Apache-2.0
/**
 * Frames that tell switches and neighbours where an address is now. ARP: RFC 826, announcements RFC 5227; RARP: RFC 903;
 * neighbour discovery: RFC 4861 4.4.
 */
import { ETHERNET_HEADER_BYTES, FRAME_BYTES_MIN, ICMPV6, IPV6_HEADER_BYTES, MAC_BYTES } from './ethernet.js';
import { NEIGHBOR_ADVERTISEMENT, TYPE_ARP, TYPE_IPV4, TYPE_IPV6, TYPE_RARP } from './ethernet.js';

const BROADCAST = Buffer.alloc(MAC_BYTES, 0xff);
const ZERO_MAC = Buffer.alloc(MAC_BYTES);
const ARP_BYTES = 28;
const OP_REQUEST = 1;
const OP_REPLY = 2;
const OP_RARP_REQUEST = 3;
/** ff02::1, all nodes of the link. */
const ALL_NODES = Buffer.from('ff020000000000000000000000000001', 'hex');
const ALL_NODES_MAC = Buffer.from('333300000001', 'hex');
/** RFC 4861: a neighbour's packet has come by no router. */
const HOP_LIMIT_LINK_LOCAL = 255;
const FLAG_OVERRIDE = 0x20;
const OPTION_TARGET_LINK_ADDRESS = 2;

/** Who speaks: a MAC, and the VLAN tags (0 to 2 of them, 4 bytes each) that its frames carry. */
export interface Speaker {
  readonly mac: Buffer;
  readonly tags: Buffer;
}

/** For switches: a MAC, whatever addresses it has. */
export const announceMac = (speaker: Speaker): Buffer =>
  arp(speaker, TYPE_RARP, OP_RARP_REQUEST, Buffer.alloc(4), speaker.mac);

/** For neighbours: an IPv4 (as request and as reply: some heed only one) or an IPv6 address. */
export function announceAddress(speaker: Speaker, address: Buffer): Buffer[] {
  if (address.length !== 4) return [neighborAdvertisement(speaker, address)];
  return [
    arp(speaker, TYPE_ARP, OP_REQUEST, address, ZERO_MAC),
    arp(speaker, TYPE_ARP, OP_REPLY, address, BROADCAST),
  ];
}

function ethernet(to: Buffer, { mac, tags }: Speaker, type: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(ETHERNET_HEADER_BYTES + tags.length);
  to.copy(header, 0);
  mac.copy(header, MAC_BYTES);
  tags.copy(header, 2 * MAC_BYTES);
  header.writeUInt16BE(type, 2 * MAC_BYTES + tags.length);
  const padding = Buffer.alloc(Math.max(0, FRAME_BYTES_MIN - header.length - payload.length));
  return Buffer.concat([header, payload, padding]);
}

/** An ARP or RARP packet in which the sender speaks of itself, to everybody. */
function arp(speaker: Speaker, type: number, operation: number, ip: Buffer, targetMac: Buffer): Buffer {
  const packet = Buffer.alloc(ARP_BYTES);
  packet.writeUInt16BE(1, 0); // hardware: Ethernet
  packet.writeUInt16BE(TYPE_IPV4, 2);
  packet.writeUInt8(MAC_BYTES, 4);
  packet.writeUInt8(4, 5);
  packet.writeUInt16BE(operation, 6);
  speaker.mac.copy(packet, 8);
  ip.copy(packet, 14);
  targetMac.copy(packet, 18);
  ip.copy(packet, 24);
  return ethernet(BROADCAST, speaker, type, packet);
}

/** An unsolicited neighbour advertisement that overrides what neighbours remember. */
function neighborAdvertisement(speaker: Speaker, address: Buffer): Buffer {
  const message = Buffer.alloc(32);
  message.writeUInt8(NEIGHBOR_ADVERTISEMENT, 0);
  message.writeUInt8(FLAG_OVERRIDE, 4);
  address.copy(message, 8);
  message.writeUInt8(OPTION_TARGET_LINK_ADDRESS, 24);
  message.writeUInt8(1, 25); // of 8 bytes
  speaker.mac.copy(message, 26);
  message.writeUInt16BE(icmpv6Checksum(address, ALL_NODES, message), 2);

  const header = Buffer.alloc(IPV6_HEADER_BYTES);
  header.writeUInt8(0x60, 0); // version 6
  header.writeUInt16BE(message.length, 4);
  header.writeUInt8(ICMPV6, 6);
  header.writeUInt8(HOP_LIMIT_LINK_LOCAL, 7);
  address.copy(header, 8);
  ALL_NODES.copy(header, 24);
  return ethernet(ALL_NODES_MAC, speaker, TYPE_IPV6, Buffer.concat([header, message]));
}

/** RFC 4443 2.3: the Internet checksum over a pseudo-header and the message. Even lengths only. */
function icmpv6Checksum(source: Buffer, destination: Buffer, message: Buffer): number {
  const pseudo = Buffer.alloc(8);
  pseudo.writeUInt32BE(message.length, 0);
  pseudo.writeUInt8(ICMPV6, 7);
  const all = Buffer.concat([source, destination, pseudo, message]);
  let sum = 0;
  for (let at = 0; at < all.length; at += 2) sum += all.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
