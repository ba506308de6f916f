// SPDX-License-Identifier: Apache-2.0
/**
 * Where a guest's addresses are: learned from the frames that the guest itself sends, told to the network after a failover.
 *
 * A guest speaks from more than the MAC of its NIC: VRRP, macvlan, bridges to containers, a bond, a MAC that was changed; and
 * on several VLANs. Each pair of a MAC and its tags is a station of its own here.
 *
 * An address is a station's own for certain where it speaks of itself: as the sender of ARP, as the source of a neighbour
 * solicitation, as the target of its advertisement. A packet may be one that it forwards: its source counts only as long as
 * the station has claimed no address of that family (one that has just been cloned may not have to ask for a while), and
 * nobody else on its VLAN has claimed it. An address has one station: the one that spoke for it last.
 */
import { announceAddress, announceMac, type Speaker } from './announcement.js';
import {
  cut,
  ETHERNET_HEADER_BYTES,
  ICMPV6,
  IPV6_HEADER_BYTES,
  IPV6_NEXT_HEADER,
  MAC_BYTES,
  NEIGHBOR_ADVERTISEMENT,
  NEIGHBOR_SOLICITATION,
  tagBytesOf,
  TYPE_ARP,
  TYPE_IPV4,
  TYPE_IPV6,
  vlanOf,
} from './ethernet.js';
import { RecentMap } from './recent-map.js';

const ARP_SENDER_MAC = ETHERNET_HEADER_BYTES + 8;
const ARP_SENDER_IP = ETHERNET_HEADER_BYTES + 14;
const IPV4_SOURCE = ETHERNET_HEADER_BYTES + 12;
const IPV6_SOURCE = ETHERNET_HEADER_BYTES + 8;
const ICMPV6_TYPE = ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES;
const ICMPV6_TARGET = ICMPV6_TYPE + 8;
const GROUP_BIT = 1;

/** A guest with more stations or addresses announces the most recent ones. */
export const STATIONS_MAX = 64;
export const ADDRESSES_MAX = 64;
/**
 * A station that was silent for longer is not announced: by default switches forget a MAC after 300 s, and what still comes
 * for it is flooded to where the guest is now.
 */
export const LATELY_MS = 600_000;
/** VRRP's shortest usual interval is 1 s: a virtual MAC that is in use was heard more lately than this. */
const SILENT_MS = 3000;

/** `52:54:00:12:34:56` as bytes. The caller has checked the form. */
export const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');

interface Learned {
  readonly address: Buffer;
  /** The guest says that it is its own. */
  readonly isClaimed: boolean;
}

interface Station extends Speaker {
  /** Makes it one of the guest's: the tags' VLANs, in hex. */
  readonly vlan: string;
  heardAtMs: number;
}

interface Holding {
  readonly address: Buffer;
  readonly station: Station;
}

/** The guest's addresses, by what it sent. */
export class GuestAddresses {
  private readonly nic: Buffer;
  private readonly stations = new RecentMap<Station>(STATIONS_MAX);
  /** By VLAN and address. */
  private readonly claimed = new RecentMap<Holding>(ADDRESSES_MAX);
  private readonly used = new RecentMap<Holding>(ADDRESSES_MAX);

  /** @param mac of the guest's NIC: announced also when it has never spoken */
  constructor(
    mac: string,
    private readonly nowMs: () => number = () => performance.now(),
  ) {
    this.nic = macBytes(mac);
  }

  /** Takes a frame that the guest sent. */
  learn(frame: Buffer): void {
    const station = this.stationOf(frame);
    if (station === null) return;
    const learned = learnedFrom(untagged(frame, station.tags.length), station.mac);
    if (learned === null || learned.address.every((byte) => byte === 0)) return;
    const key = `${station.vlan} ${learned.address.toString('hex')}`;
    const isClaimed = learned.isClaimed || this.hasMoved(key, station);
    (isClaimed ? this.claimed : this.used).put(key, { address: Buffer.from(learned.address), station });
  }

  /** It is in use by one station while the one that had claimed it says nothing any more: the MAC was changed. */
  private hasMoved(key: string, to: Station): boolean {
    const from = this.claimed.get(key)?.station ?? to;
    return from !== to && this.nowMs() - from.heardAtMs > SILENT_MS;
  }

  /** Frames that tell switches and neighbours that the guest is here now: its MACs first, each family's latest first. */
  announcements(): Buffer[] {
    const since = this.nowMs() - LATELY_MS;
    const lately = this.stations.values().filter(({ heardAtMs }) => heardAtMs >= since);
    const hasSpoken = lately.some(({ mac, tags }) => tags.length === 0 && mac.equals(this.nic));
    const silent: Speaker[] = hasSpoken ? [] : [{ mac: this.nic, tags: Buffer.alloc(0) }];
    const holdings = this.holdings().filter(({ station }) => station.heardAtMs >= since);
    const ipv4 = holdings.filter(({ address }) => address.length === 4).slice(0, ADDRESSES_MAX);
    const ipv6 = holdings.filter(({ address }) => address.length !== 4).slice(0, ADDRESSES_MAX);
    return [
      ...[...silent, ...lately].map(announceMac),
      ...[...ipv4, ...ipv6].flatMap(({ station, address }) => announceAddress(station, address)),
    ];
  }

  private holdings(): Holding[] {
    const claimed = this.claimed.values();
    const taken = new Set(
      claimed.map(({ station, address }) => `${station.vlan} ${address.toString('hex')}`),
    );
    const used = this.used.values().filter(({ station, address }) => {
      const claims = claimed.some((own) => own.station === station && own.address.length === address.length);
      return !claims && !taken.has(`${station.vlan} ${address.toString('hex')}`);
    });
    return [...claimed, ...used];
  }

  /** Who sent the frame; null: nobody who can be announced. */
  private stationOf(frame: Buffer): Station | null {
    const tagBytes = tagBytesOf(frame);
    if (frame.length < ETHERNET_HEADER_BYTES + tagBytes) return null;
    const mac = frame.subarray(MAC_BYTES, 2 * MAC_BYTES);
    if ((mac.readUInt8(0) & GROUP_BIT) !== 0 || mac.every((byte) => byte === 0)) return null;
    const vlan = tagBytes === 0 ? '' : vlanOf(frame, tagBytes).toString('hex');
    const key = `${vlan} ${mac.toString('hex')}`;
    const station = this.stations.get(key) ?? {
      mac: Buffer.from(mac),
      tags: vlanOf(frame, tagBytes),
      vlan,
      heardAtMs: 0,
    };
    station.heardAtMs = this.nowMs();
    this.stations.put(key, station);
    return station;
  }
}

/** The frame from its MACs on, as if it carried no tags; only what lies behind them is read. */
function untagged(frame: Buffer, tagBytes: number): Buffer {
  return frame.subarray(tagBytes);
}

function learnedFrom(frame: Buffer, mac: Buffer): Learned | null {
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

/** Frames that go out at once, and how long the next so many wait: a tap's queue has room for 500. */
const BURST_FRAMES = 32;
const BURST_EVERY_MS = 10;

/** Sends announcements, not all at once: what waits behind them are packets that clients wait for. */
export function announce(
  frames: readonly Buffer[],
  transmit: (frame: Buffer) => void,
  later: (go: () => void, delayMs: number) => void = (go, delayMs) => setTimeout(go, delayMs).unref(),
): void {
  for (const frame of frames.slice(0, BURST_FRAMES)) transmit(frame);
  const rest = frames.slice(BURST_FRAMES);
  if (rest.length === 0) return;
  later(() => {
    announce(rest, transmit, later);
  }, BURST_EVERY_MS);
}
