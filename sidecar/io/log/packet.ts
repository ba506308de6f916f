// SPDX-License-Identifier: Apache-2.0
// A packet in a line, for people: enough to find it in a capture. Never throws, whatever the bytes.

const ETHERTYPES: Readonly<Record<number, string>> = {
  0x0800: 'IPv4',
  0x0806: 'ARP',
  0x8035: 'RARP',
  0x86dd: 'IPv6',
  0x88cc: 'LLDP',
};
const ETHERTYPE_VLAN = 0x8100;
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'ICMP',
  2: 'IGMP',
  6: 'TCP',
  17: 'UDP',
  58: 'ICMPv6',
};
const TCP_FLAGS = ['F', 'S', 'R', 'P', '.', 'U'];

/** Big-endian reads that give null beyond the end. */
class Bytes {
  constructor(private readonly bytes: Buffer) {}

  get length(): number {
    return this.bytes.length;
  }

  u8(at: number): number | null {
    return this.bytes[at] ?? null;
  }

  u16(at: number): number | null {
    return at + 2 <= this.bytes.length ? this.bytes.readUInt16BE(at) : null;
  }

  u32(at: number): number | null {
    return at + 4 <= this.bytes.length ? this.bytes.readUInt32BE(at) : null;
  }

  from(at: number, to: number): Buffer | null {
    return to <= this.bytes.length ? this.bytes.subarray(at, to) : null;
  }

  rest(at: number): Bytes {
    return new Bytes(this.bytes.subarray(at));
  }
}

function mac(bytes: Buffer): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

function ipv4(bytes: Buffer): string {
  return [...bytes].join('.');
}

/** With the longest run of two or more zero groups written `::` (RFC 5952). */
function ipv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  const zerosAt = (at: number): number => groups.slice(at).findIndex((group) => group !== '0');
  const runs = groups.map((_, at) => (zerosAt(at) === -1 ? groups.length - at : zerosAt(at)));
  const longest = Math.max(...runs);
  if (longest < 2) return groups.join(':');
  const at = runs.indexOf(longest);
  return `${groups.slice(0, at).join(':')}::${groups.slice(at + longest).join(':')}`;
}

function describeArp(arp: Bytes): string {
  const sender = arp.from(14, 18);
  const target = arp.from(24, 28);
  if (sender === null || target === null) return 'ARP cut short';
  return arp.u16(6) === 1
    ? `ARP who-has ${ipv4(target)} tell ${ipv4(sender)}`
    : `ARP reply ${ipv4(sender)} is-at ${mac(arp.from(8, 14) ?? Buffer.alloc(6))}`;
}

function describeTcp(tcp: Bytes, payloadBytes: number): string {
  const flags = tcp.u8(13);
  const offset = tcp.u8(12);
  if (flags === null || offset === null) return '';
  const letters = TCP_FLAGS.filter((_, bit) => (flags & (1 << bit)) !== 0).join('');
  const length = Math.max(0, payloadBytes - (offset >> 4) * 4);
  return ` [${letters}] seq ${tcp.u32(4) ?? 0} ack ${tcp.u32(8) ?? 0} data ${length}`;
}

function describeTransport(
  protocol: number,
  from: string,
  to: string,
  body: Bytes,
  bodyBytes: number,
): string {
  const name = PROTOCOLS[protocol] ?? `protocol ${protocol}`;
  if (protocol !== 6 && protocol !== 17) {
    const type = protocol === 1 || protocol === 58 ? ` type ${body.u8(0) ?? '?'}` : '';
    return `${name} ${from} > ${to}${type}`;
  }
  const ports = [body.u16(0), body.u16(2)].map((port) => (port === null ? '?' : String(port)));
  const rest = protocol === 6 ? describeTcp(body, bodyBytes) : ` data ${Math.max(0, bodyBytes - 8)}`;
  return `${name} ${from}:${ports[0] ?? '?'} > ${to}:${ports[1] ?? '?'}${rest}`;
}

function describeIpv4(ip: Bytes): string {
  const [from, to, protocol, first, total] = [
    ip.from(12, 16),
    ip.from(16, 20),
    ip.u8(9),
    ip.u8(0),
    ip.u16(2),
  ];
  if (from === null || to === null || protocol === null || first === null || total === null)
    return 'IPv4 cut short';
  const headerBytes = (first & 15) * 4;
  const fragment = (ip.u16(6) ?? 0) & 0x1fff;
  if (fragment !== 0) return `IPv4 ${ipv4(from)} > ${ipv4(to)} fragment at ${fragment * 8}`;
  return describeTransport(protocol, ipv4(from), ipv4(to), ip.rest(headerBytes), total - headerBytes);
}

function describeIpv6(ip: Bytes): string {
  const [from, to, next, payload] = [ip.from(8, 24), ip.from(24, 40), ip.u8(6), ip.u16(4)];
  if (from === null || to === null || next === null || payload === null) return 'IPv6 cut short';
  return describeTransport(next, `[${ipv6(from)}]`, `[${ipv6(to)}]`, ip.rest(40), payload);
}

function describePayload(type: number, body: Bytes): string {
  switch (type) {
    case 0x0806:
    case 0x8035:
      return describeArp(body);
    case 0x0800:
      return describeIpv4(body);
    case 0x86dd:
      return describeIpv6(body);
    default:
      return ETHERTYPES[type] ?? `ethertype 0x${type.toString(16).padStart(4, '0')}`;
  }
}

/** An Ethernet frame: what it carries, from whom to whom, and its length in bytes. */
export function describePacket(frame: Buffer): string {
  const bytes = new Bytes(frame);
  const outer = bytes.u16(12);
  if (outer === null) return `no Ethernet frame, ${frame.length} bytes`;
  const tagged = outer === ETHERTYPE_VLAN;
  const type = tagged ? bytes.u16(16) : outer;
  const vlan = tagged ? `VLAN ${(bytes.u16(14) ?? 0) & 0xfff} ` : '';
  const what = type === null ? 'cut short' : describePayload(type, bytes.rest(tagged ? 18 : 14));
  return `${vlan}${what}, ${mac(frame.subarray(6, 12))} > ${mac(frame.subarray(0, 6))}, ${frame.length} bytes`;
}
