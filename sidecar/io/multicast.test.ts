// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { GROUPS_MAX, GuestGroups } from './multicast.js';

const MAC = '525400123456';
const GUEST = 'c0a80a02';
const GROUP = 'ef4d0001';
const OTHER = 'ef4d0002';
const GROUP6 = 'ff020000000000000000000000004d01';

const bytes = (...parts: string[]): Buffer => Buffer.from(parts.join(''), 'hex');
const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

/** With the option of a router's alert, as hosts send it: the header has 24 bytes. */
const igmp = (message: string, vlan = ''): Buffer =>
  bytes(
    '01005e000016',
    MAC,
    vlan,
    '0800',
    '46c00028000040000102',
    '0000',
    GUEST,
    'e0000016',
    '94040000',
    message,
  );
const report2 = (group: string): Buffer => igmp(`16000000${group}`);
const leave2 = (group: string): Buffer => igmp(`17000000${group}`);
const record = (type: number, group: string, sources: readonly string[] = [], auxiliary = ''): string =>
  [hex(type, 2), hex(auxiliary.length / 8, 2), hex(sources.length, 4), group, ...sources, auxiliary].join('');
const report3 = (...records: string[]): Buffer =>
  igmp(['220000000000', hex(records.length, 4), ...records].join(''));
const mld = (message: string): Buffer =>
  bytes(
    '333300000016',
    MAC,
    '86dd',
    '600000000024',
    '00',
    '01',
    'fe80',
    '00'.repeat(14),
    GROUP6,
    '3a00050200000100',
    message,
  );

function told(...frames: Buffer[]): Buffer[] {
  const groups = new GuestGroups();
  for (const frame of frames) groups.learn(frame);
  return groups.reports();
}

describe("guest's multicast groups", () => {
  it('a report is told again as it was, whatever the version', () => {
    const reports = [
      igmp(`12000000${GROUP}`),
      report2(GROUP),
      report3(record(2, GROUP)),
      report3(record(4, GROUP)),
    ];
    for (const report of reports) expect(told(report)).to.deep.equal([report]);
    const reports6 = [mld(`8300000000000000${GROUP6}`), mld(`8f00000000000001${record(4, GROUP6)}`)];
    for (const report of reports6) expect(told(report)).to.deep.equal([report]);
  });

  it('the last report of a group counts', () => {
    expect(told(report2(GROUP), report3(record(2, GROUP)))).to.deep.equal([report3(record(2, GROUP))]);
  });

  it('a group that was left is not told', () => {
    const left = [leave2(GROUP), report3(record(3, GROUP)), report3(record(1, GROUP))];
    for (const leave of left) expect(told(report2(GROUP), leave)).to.deep.equal([]);
    expect(told(mld(`8300000000000000${GROUP6}`), mld(`8400000000000000${GROUP6}`))).to.deep.equal([]);
    expect(told(report2(GROUP), report2(OTHER), leave2(GROUP))).to.deep.equal([report2(OTHER)]);
  });

  it('one that is heard from some sources only is joined; to block one of them leaves it joined', () => {
    const some = report3(record(3, GROUP, ['c0a80a09']));
    expect(told(some)).to.deep.equal([some]);
    const allowed = report3(record(5, GROUP, ['c0a80a09']));
    expect(told(allowed, report3(record(6, GROUP, ['c0a80a09'])))).to.deep.equal([allowed]);
  });

  it('a report of several groups is told once, with the records after sources and auxiliary data read right', () => {
    const several = report3(record(4, GROUP, ['c0a80a09', 'c0a80a0a'], '0011223344556677'), record(4, OTHER));
    expect(told(several)).to.deep.equal([several]);
    expect(told(several, leave2(GROUP))).to.deep.equal([several]);
    expect(told(several, leave2(GROUP), leave2(OTHER))).to.deep.equal([]);
  });

  it('the same group on a VLAN is another one', () => {
    const tagged = igmp(`16000000${GROUP}`, '8100a00a');
    expect(told(report2(GROUP), tagged, leave2(GROUP))).to.deep.equal([tagged]);
  });

  it('they are told in the order in which they were sent, the latest of too many', () => {
    const reports = Array.from({ length: GROUPS_MAX + 1 }, (_, n) => report2(`ef4d01${hex(n, 2)}`));
    expect(told(...reports)).to.deep.equal(reports.slice(1));
  });

  it('keeps what it was given when the buffer is used again', () => {
    const groups = new GuestGroups();
    const frame = report2(GROUP);
    groups.learn(frame);
    frame.fill(0);
    expect(groups.reports()).to.deep.equal([report2(GROUP)]);
  });

  it('nothing else is one: queries, TCP, neighbour discovery, anything cut short', () => {
    const others = [
      igmp(`11640000${GROUP}`),
      bytes(
        '01005e000016',
        MAC,
        '0800',
        '45000028000040000106',
        '0000',
        GUEST,
        'e0000016',
        `16000000${GROUP}`,
      ),
      bytes(
        '333300000001',
        MAC,
        '86dd6000000000203aff',
        'fe80',
        '00'.repeat(14),
        GROUP6,
        `8300000000000000${GROUP6}`,
      ),
    ];
    expect(told(...others)).to.deep.equal([]);
    const whole = report3(record(4, GROUP), record(4, OTHER));
    for (let length = 0; length < whole.length - record(4, OTHER).length / 2; length += 1) {
      expect(told(whole.subarray(0, length)), `${length} bytes`).to.deep.equal([]);
    }
  });

  it('takes any frame', () => {
    const heads = [report2(GROUP), report3(record(4, GROUP)), mld(`8f00000000000001${record(4, GROUP6)}`)];
    const frames = fc.tuple(fc.constantFrom(...heads), fc.nat(90), fc.uint8Array({ maxLength: 80 }));
    fc.assert(
      fc.property(frames, ([head, length, tail]) => {
        told(Buffer.concat([head.subarray(0, length), tail]));
      }),
    );
  });
});
