// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { ADDRESSES_MAX, GuestAddresses, macBytes } from './arp.js';

const MAC = '52:54:00:12:34:56';
const HEX = '525400123456';
const OTHER = '525400999999';
const IP4 = 'c0a80a02';
const IP6 = 'fe80000000000000505400fffe123456';
const PAD = '00'.repeat(18);

const bytes = (...parts: string[]): Buffer => Buffer.from(parts.join(''), 'hex');
const arpFrame = (mac: string, ip: string): Buffer =>
  bytes('ffffffffffff', mac, '0806', '0001080006040001', mac, ip, '000000000000', 'c0a80a01');
const ipv4Frame = (mac: string, ip: string): Buffer =>
  bytes(OTHER, mac, '0800', '450000140000000040010000', ip, 'c0a80a01');
const ipv6Frame = (mac: string, ip: string): Buffer =>
  bytes('333300000001', mac, '86dd', '60000000000006ff', ip, 'ff020000000000000000000000000001');

const icmpv6Frame = (source: string, message: string): Buffer =>
  bytes('333300000001', HEX, '86dd6000000000203aff', source, 'ff020000000000000000000000000001', message);
const solicitation = (source: string): Buffer =>
  icmpv6Frame(source, `8700000000000000fe8000000000000000000000000000aa`);
const advertisement = (source: string, target: string): Buffer =>
  icmpv6Frame(source, `8800000020000000${target}`);

// Read back by tcpdump -vv: Reverse Request; Request and Reply 192.168.10.2; NA with `icmp6 sum ok`, Flags [override].
const RARP = ['ffffffffffff', HEX, '8035', '0001080006040003', HEX, '00000000', HEX, '00000000', PAD].join(
  '',
);
const REQUEST = ['ffffffffffff', HEX, '0806', '0001080006040001', HEX, IP4, '000000000000', IP4, PAD].join(
  '',
);
const REPLY = ['ffffffffffff', HEX, '0806', '0001080006040002', HEX, IP4, 'ffffffffffff', IP4, PAD].join('');
const ADVERTISEMENT = [
  '333300000001',
  HEX,
  '86dd6000000000203aff',
  IP6,
  'ff020000000000000000000000000001',
  '8800cb6820000000',
  IP6,
  '0201',
  HEX,
].join('');

function told(...frames: Buffer[]): string[] {
  const guest = new GuestAddresses(MAC);
  for (const frame of frames) guest.learn(frame);
  return guest.announcements().map((frame) => frame.toString('hex'));
}

describe("guest's addresses", () => {
  it('a guest that said nothing is announced by its MAC alone', () => {
    expect(told()).to.deep.equal([RARP]);
  });

  it('IPv4 is announced as request and as reply, whether learned from ARP or from IP', () => {
    expect(told(arpFrame(HEX, IP4))).to.deep.equal([RARP, REQUEST, REPLY]);
    expect(told(ipv4Frame(HEX, IP4))).to.deep.equal([RARP, REQUEST, REPLY]);
  });

  it('IPv6 is announced by an unsolicited neighbour advertisement', () => {
    expect(told(ipv6Frame(HEX, IP6))).to.deep.equal([RARP, ADVERTISEMENT]);
  });

  it('IPv4 that the guest only forwards is not announced once it has claimed its own, whichever came first', () => {
    const foreign = ipv4Frame(HEX, 'c0a80aee');
    expect(told(foreign, arpFrame(HEX, IP4), foreign)).to.deep.equal([RARP, REQUEST, REPLY]);
    expect(told(arpFrame(HEX, IP4), foreign)).to.deep.equal([RARP, REQUEST, REPLY]);
  });

  it('IPv6 likewise, claimed by a solicitation or by an advertisement', () => {
    const foreign = ipv6Frame(HEX, '20010db80000000000000000000000ee');
    expect(told(foreign, solicitation(IP6), foreign)).to.deep.equal([RARP, ADVERTISEMENT]);
    expect(told(foreign, advertisement(IP6, IP6))).to.deep.equal([RARP, ADVERTISEMENT]);
    const second = '20010db8000000000000000000000002';
    expect(told(advertisement(IP6, second))[1]).to.include(`20000000${second}`);
  });

  it('what is claimed of one family says nothing of the other', () => {
    expect(told(arpFrame(HEX, IP4), ipv6Frame(HEX, IP6))).to.deep.equal([
      RARP,
      REQUEST,
      REPLY,
      ADVERTISEMENT,
    ]);
    expect(told(solicitation(IP6), ipv4Frame(HEX, IP4))).to.deep.equal([RARP, REQUEST, REPLY, ADVERTISEMENT]);
  });

  it('a guest that speaks ARP for another host, or asks whether an address is free, has claimed nothing', () => {
    const proxy = bytes('ffffffffffff', HEX, '0806', '0001080006040002', OTHER, 'c0a80aee', OTHER, IP4);
    expect(told(proxy, solicitation('0'.repeat(32)))).to.deep.equal([RARP]);
    expect(told(solicitation('0'.repeat(32)), ipv6Frame(HEX, IP6))).to.deep.equal([RARP, ADVERTISEMENT]);
  });

  it('the same address is announced once', () => {
    expect(told(arpFrame(HEX, IP4), ipv4Frame(HEX, IP4), arpFrame(HEX, IP4))).to.have.length(3);
  });

  it('learns nothing from other MACs, probes without address, unknown types, or cut frames', () => {
    const useless = [arpFrame(OTHER, IP4), ipv4Frame(OTHER, IP4), arpFrame(HEX, '00000000')];
    useless.push(ipv6Frame(HEX, '0'.repeat(32)), bytes(OTHER, HEX, '88cc', '0000'), Buffer.alloc(0));
    for (const whole of [arpFrame(HEX, IP4), ipv4Frame(HEX, IP4), ipv6Frame(HEX, IP6)]) {
      useless.push(whole.subarray(0, 13), whole.subarray(0, 25));
    }
    expect(told(...useless)).to.deep.equal([RARP]);
  });

  it('remembers a bounded number, the ones used last', () => {
    const ip = (i: number): string => `0a00${i.toString(16).padStart(4, '0')}`;
    const frames = Array.from({ length: ADDRESSES_MAX + 10 }, (_unused, i) => ipv4Frame(HEX, ip(i + 1)));
    const announced = told(...frames);
    expect(announced).to.have.length(1 + 2 * ADDRESSES_MAX);
    expect(announced.some((frame) => frame.includes(ip(ADDRESSES_MAX + 10)))).to.equal(true);
    expect(announced.some((frame) => frame.includes(ip(1) + '0'))).to.equal(false);
  });

  it('takes any frame, and says only well-formed ones', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 })), (tails) => {
        const frames = tails.map((tail) => Buffer.concat([bytes(OTHER, HEX), tail]));
        for (const frame of told(...frames)) {
          expect(frame.length / 2).to.be.greaterThanOrEqual(60);
          expect(frame.slice(12, 24)).to.equal(HEX);
        }
      }),
    );
  });

  it('reads a MAC', () => {
    expect(macBytes(MAC).toString('hex')).to.equal(HEX);
  });
});
