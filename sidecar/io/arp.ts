// SPDX-License-Identifier: Apache-2.0
/**
 * Where a guest's addresses are: learned from the frames that the guest itself sends, told to the network after a
 * failover. ARP: RFC 826, announcements RFC 5227; RARP: RFC 903; neighbour discovery: RFC 4861 4.3 and 4.4.
 *
 * An address is the guest's own for certain where it speaks of itself: as the sender of ARP, as the source of a neighbour
 * solicitation, as the target of its advertisement. A packet may be one that it forwards: its source counts only as long as
 * the guest has claimed no address of that family (one that has just been cloned may not have to ask for a while).
 */

const MAC_BYTES = 6;
const ETHERNET_HEADER_BYTES = 14;
/** Without the checksum that hardware adds. */
const FRAME_BYTES_MIN = 60;
const TYPE_IPV4 = 0x0800;
const TYPE_ARP = 0x0806;
const TYPE_RARP = 0x8035;
const TYPE_IPV6 = 0x86dd;
const BROADCAST = Buffer.alloc(MAC_BYTES, 0xff);
const ZERO_MAC = Buffer.alloc(MAC_BYTES);

const ARP_BYTES = 28;
const ARP_SENDER_MAC = ETHERNET_HEADER_BYTES + 8;
const ARP_SENDER_IP = ETHERNET_HEADER_BYTES + 14;
const OP_REQUEST = 1;
const OP_REPLY = 2;
const OP_RARP_REQUEST = 3;

const IPV4_SOURCE = ETHERNET_HEADER_BYTES + 12;
const IPV6_SOURCE = ETHERNET_HEADER_BYTES + 8;
const IPV6_HEADER_BYTES = 40;
const IPV6_NEXT_HEADER = ETHERNET_HEADER_BYTES + 6;
const ICMPV6 = 58;
const ICMPV6_TYPE = ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES;
const ICMPV6_TARGET = ICMPV6_TYPE + 8;
const NEIGHBOR_SOLICITATION = 135;
const NEIGHBOR_ADVERTISEMENT = 136;
/** ff02::1, all nodes of the link. */
const ALL_NODES = Buffer.from('ff020000000000000000000000000001', 'hex');
const ALL_NODES_MAC = Buffer.from('333300000001', 'hex');
/** RFC 4861: a neighbour's packet has come by no router. */
const HOP_LIMIT_LINK_LOCAL = 255;
const FLAG_OVERRIDE = 0x20;
const OPTION_TARGET_LINK_ADDRESS = 2;

/** A guest with more addresses announces the most recent ones. */
export const ADDRESSES_MAX = 64;

/** `52:54:00:12:34:56` as bytes. The caller has checked the form. */
export const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');

interface Learned {
  readonly address: Buffer;
  /** The guest says that it is its own. */
  readonly isClaimed: boolean;
}

/** Addresses in order of last use, so many at most. */
class RecentAddresses {
  /** Hex. */
  private readonly seen = new Set<string>();

  add(address: Buffer): void {
    const key = address.toString('hex');
    this.seen.delete(key);
    this.seen.add(key);
    if (this.seen.size <= ADDRESSES_MAX) return;
    for (const oldest of this.seen) {
      this.seen.delete(oldest);
      break;
    }
  }

  all(): Buffer[] {
    return [...this.seen].map((key) => Buffer.from(key, 'hex'));
  }
}

/** Those of IPv4, or those of IPv6. */
class Family {
  private readonly claimed = new RecentAddresses();
  private readonly used = new RecentAddresses();

  learn({ address, isClaimed }: Learned): void {
    (isClaimed ? this.claimed : this.used).add(address);
  }

  /** The guest's own, as far as is known. */
  own(): Buffer[] {
    const claimed = this.claimed.all();
    return claimed.length > 0 ? claimed : this.used.all();
  }
}

/** The guest's addresses, by what it sent. */
export class GuestAddresses {
  private readonly mac: Buffer;
  private readonly ipv4 = new Family();
  private readonly ipv6 = new Family();

  constructor(mac: string) {
    this.mac = macBytes(mac);
  }

  /** Takes a frame that the guest sent. */
  learn(frame: Buffer): void {
    const learned = learnedFrom(frame, this.mac);
    if (learned === null || learned.address.every((byte) => byte === 0)) return;
    (learned.address.length === 4 ? this.ipv4 : this.ipv6).learn(learned);
  }

  /** Frames that tell switches and neighbours that the guest is here now. The first needs no address. */
  announcements(): Buffer[] {
    const frames = [arp(TYPE_RARP, OP_RARP_REQUEST, this.mac, Buffer.alloc(4), this.mac)];
    for (const address of this.ipv4.own()) {
      frames.push(arp(TYPE_ARP, OP_REQUEST, this.mac, address, ZERO_MAC));
      frames.push(arp(TYPE_ARP, OP_REPLY, this.mac, address, BROADCAST));
    }
    for (const address of this.ipv6.own()) frames.push(neighborAdvertisement(this.mac, address));
    return frames;
  }
}

function learnedFrom(frame: Buffer, mac: Buffer): Learned | null {
  if (frame.length < ETHERNET_HEADER_BYTES || !frame.subarray(MAC_BYTES, 2 * MAC_BYTES).equals(mac))
    return null;
  switch (frame.readUInt16BE(2 * MAC_BYTES)) {
    case TYPE_ARP:
      // Another MAC as the sender: the guest speaks for somebody else.
      return cut(frame, ARP_SENDER_MAC, MAC_BYTES)?.equals(mac) === true
        ? learned(cut(frame, ARP_SENDER_IP, 4), true)
        : null;
    case TYPE_IPV4:
      return learned(cut(frame, IPV4_SOURCE, 4), false);
    case TYPE_IPV6:
      return learnedFromIpv6(frame);
    default:
      return null;
  }
}

/** Neighbour discovery has no header between IPv6's and its own, and no router forwards it. */
function learnedFromIpv6(frame: Buffer): Learned | null {
  const isIcmp = frame.length > ICMPV6_TYPE && frame.readUInt8(IPV6_NEXT_HEADER) === ICMPV6;
  const type = isIcmp ? frame.readUInt8(ICMPV6_TYPE) : null;
  if (type === NEIGHBOR_ADVERTISEMENT) return learned(cut(frame, ICMPV6_TARGET, 16), true);
  return learned(cut(frame, IPV6_SOURCE, 16), type === NEIGHBOR_SOLICITATION);
}

function learned(address: Buffer | null, isClaimed: boolean): Learned | null {
  return address === null ? null : { address, isClaimed };
}

/** Null when the frame ends before. */
function cut(frame: Buffer, at: number, bytes: number): Buffer | null {
  return frame.length >= at + bytes ? frame.subarray(at, at + bytes) : null;
}

function ethernet(to: Buffer, from: Buffer, type: number, payload: Buffer): Buffer {
  const frame = Buffer.alloc(Math.max(FRAME_BYTES_MIN, ETHERNET_HEADER_BYTES + payload.length));
  to.copy(frame, 0);
  from.copy(frame, MAC_BYTES);
  frame.writeUInt16BE(type, 2 * MAC_BYTES);
  payload.copy(frame, ETHERNET_HEADER_BYTES);
  return frame;
}

/** An ARP or RARP packet in which the sender speaks of itself, to everybody. */
function arp(type: number, operation: number, mac: Buffer, ip: Buffer, targetMac: Buffer): Buffer {
  const packet = Buffer.alloc(ARP_BYTES);
  packet.writeUInt16BE(1, 0); // hardware: Ethernet
  packet.writeUInt16BE(TYPE_IPV4, 2);
  packet.writeUInt8(MAC_BYTES, 4);
  packet.writeUInt8(4, 5);
  packet.writeUInt16BE(operation, 6);
  mac.copy(packet, 8);
  ip.copy(packet, 14);
  targetMac.copy(packet, 18);
  ip.copy(packet, 24);
  return ethernet(BROADCAST, mac, type, packet);
}

/** An unsolicited neighbour advertisement that overrides what neighbours remember. */
function neighborAdvertisement(mac: Buffer, address: Buffer): Buffer {
  const message = Buffer.alloc(32);
  message.writeUInt8(NEIGHBOR_ADVERTISEMENT, 0);
  message.writeUInt8(FLAG_OVERRIDE, 4);
  address.copy(message, 8);
  message.writeUInt8(OPTION_TARGET_LINK_ADDRESS, 24);
  message.writeUInt8(1, 25); // of 8 bytes
  mac.copy(message, 26);
  message.writeUInt16BE(icmpv6Checksum(address, ALL_NODES, message), 2);

  const header = Buffer.alloc(IPV6_HEADER_BYTES);
  header.writeUInt8(0x60, 0); // version 6
  header.writeUInt16BE(message.length, 4);
  header.writeUInt8(ICMPV6, 6);
  header.writeUInt8(HOP_LIMIT_LINK_LOCAL, 7);
  address.copy(header, 8);
  ALL_NODES.copy(header, 24);
  return ethernet(ALL_NODES_MAC, mac, TYPE_IPV6, Buffer.concat([header, message]));
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
