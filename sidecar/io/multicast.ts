// SPDX-License-Identifier: Apache-2.0
/**
 * Multicast groups that the guest has joined. A switch that snoops IGMP or MLD sends a group's packets where it has heard a
 * report, and nowhere else: after a failover the stream would be missing until the next query, for up to 125 s. So the
 * guest's own last reports are sent once more from where it is now. As they were: they are valid, and a switch takes what
 * they say of other groups, left since, for no more than one interval.
 *
 * IGMP: RFC 1112, 2236, 3376; MLD: RFC 2710, 3810. A backup that was cloned after a group was joined knows of it with the
 * guest's answer to the next query.
 */
import {
  cut,
  ETHERNET_HEADER_BYTES,
  ICMPV6,
  IPV6_HEADER_BYTES,
  IPV6_NEXT_HEADER,
  MAC_BYTES,
  tagBytesOf,
  TYPE_IPV4,
  TYPE_IPV6,
  vlanOf,
} from './ethernet.js';
import { RecentMap } from './recent-map.js';

/** Of a guest with more groups the most recent ones are told. */
export const GROUPS_MAX = 64;

const IPV4_PROTOCOL = ETHERNET_HEADER_BYTES + 9;
const IGMP = 2;
/** MLD always has the option of a router's alert before it. */
const HOP_BY_HOP = 0;

/** What a message says about one group, or a list of them. */
type Meaning = 'joins' | 'leaves' | 'records';
interface Messages {
  readonly meanings: Readonly<Record<number, Meaning>>;
  readonly groupAt: number;
  readonly addressBytes: number;
}
const IGMP_MESSAGES: Messages = {
  meanings: { 0x12: 'joins', 0x16: 'joins', 0x17: 'leaves', 0x22: 'records' },
  groupAt: 4,
  addressBytes: 4,
};
const MLD_MESSAGES: Messages = {
  meanings: { 131: 'joins', 132: 'leaves', 143: 'records' },
  groupAt: 8,
  addressBytes: 16,
};
/** The same in IGMP version 3 and MLD version 2. */
const RECORD_COUNT_AT = 6;
const RECORDS_AT = 8;
const RECORD_HEADER_BYTES = 4;
const AUXILIARY_UNIT_BYTES = 4;
const RECORD = { isInclude: 1, isExclude: 2, toInclude: 3, toExclude: 4, allow: 5, block: 6 } as const;

interface Statement {
  /** Hex. */
  readonly group: string;
  readonly isJoined: boolean;
}

export class GuestGroups {
  /** The last report of each group, by VLAN and group. */
  private readonly joined = new RecentMap<Buffer>(GROUPS_MAX);

  /** Takes a frame that the guest sent. */
  learn(frame: Buffer): void {
    const tagBytes = tagBytesOf(frame);
    const statements = statementsIn(frame, tagBytes);
    if (statements.length === 0) return;
    const vlan = vlanOf(frame, tagBytes).toString('hex');
    const kept = Buffer.from(frame);
    for (const { group, isJoined } of statements) {
      const key = `${vlan} ${group}`;
      if (isJoined) this.joined.put(key, kept);
      else this.joined.remove(key);
    }
  }

  /** Reports to be sent again, in the order in which the guest sent them. */
  reports(): Buffer[] {
    return [...new Set(this.joined.values().reverse())];
  }
}

function statementsIn(frame: Buffer, tagBytes: number): readonly Statement[] {
  if (frame.length < ETHERNET_HEADER_BYTES + tagBytes) return [];
  const bare = frame.subarray(tagBytes);
  switch (bare.readUInt16BE(2 * MAC_BYTES)) {
    case TYPE_IPV4:
      return read(igmpIn(bare), IGMP_MESSAGES);
    case TYPE_IPV6:
      return read(mldIn(bare), MLD_MESSAGES);
    default:
      return [];
  }
}

function igmpIn(frame: Buffer): Buffer | null {
  if (frame.length <= IPV4_PROTOCOL || frame.readUInt8(IPV4_PROTOCOL) !== IGMP) return null;
  const headerBytes = (frame.readUInt8(ETHERNET_HEADER_BYTES) & 0x0f) * 4;
  return frame.subarray(ETHERNET_HEADER_BYTES + headerBytes);
}

function mldIn(frame: Buffer): Buffer | null {
  const optionsAt = ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES;
  const options = cut(frame, optionsAt, 2);
  if (options === null || frame.readUInt8(IPV6_NEXT_HEADER) !== HOP_BY_HOP) return null;
  if (options.readUInt8(0) !== ICMPV6) return null;
  return frame.subarray(optionsAt + (options.readUInt8(1) + 1) * 8);
}

/** A message that ends before it should says nothing of what is missing. */
function read(message: Buffer | null, { meanings, groupAt, addressBytes }: Messages): readonly Statement[] {
  if (message === null || message.length === 0) return [];
  const meaning = meanings[message.readUInt8(0)];
  if (meaning === undefined) return [];
  if (meaning === 'records') return [...recordsIn(message, addressBytes)];
  const group = cut(message, groupAt, addressBytes);
  return group === null ? [] : [{ group: group.toString('hex'), isJoined: meaning === 'joins' }];
}

function* recordsIn(message: Buffer, addressBytes: number): Generator<Statement> {
  const count = cut(message, RECORD_COUNT_AT, 2)?.readUInt16BE(0) ?? 0;
  let at = RECORDS_AT;
  for (let n = 0; n < count; n += 1) {
    const header = cut(message, at, RECORD_HEADER_BYTES);
    const group = cut(message, at + RECORD_HEADER_BYTES, addressBytes);
    if (header === null || group === null) return;
    const sources = header.readUInt16BE(2);
    const isJoined = joinedBy(header.readUInt8(0), sources);
    if (isJoined !== null) yield { group: group.toString('hex'), isJoined };
    at += RECORD_HEADER_BYTES + (1 + sources) * addressBytes + header.readUInt8(1) * AUXILIARY_UNIT_BYTES;
  }
}

/** Null: it changes nothing of that. */
function joinedBy(type: number, sources: number): boolean | null {
  switch (type) {
    case RECORD.isExclude:
    case RECORD.toExclude:
    case RECORD.allow:
      return true;
    case RECORD.isInclude:
    case RECORD.toInclude:
      return sources > 0; // from nobody: it is left
    default:
      return null;
  }
}
