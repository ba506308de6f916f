// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { ADDRESSES_MAX, announce, GuestAddresses, LATELY_MS, macBytes, STATIONS_MAX } from './arp.js';

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

  it('learns nothing from group or zero MACs, probes without address, unknown types, or cut frames', () => {
    const useless = [
      arpFrame('01005e000001', IP4),
      ipv4Frame('0'.repeat(12), IP4),
      arpFrame(HEX, '00000000'),
    ];
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

  describe('of several stations', () => {
    const rarp = (mac: string): string => RARP.replaceAll(HEX, mac);
    const request = (mac: string): string => REQUEST.replaceAll(HEX, mac);
    /** On a VLAN: a tag behind the MACs, in a frame that need not be padded as much. */
    const tagged = (frame: string | Buffer, tag: string): Buffer => {
      const hex = Buffer.isBuffer(frame) ? frame.toString('hex') : frame;
      return bytes(hex.slice(0, 24), tag, hex.slice(24));
    };
    const padded = (frame: Buffer): string => {
      const hex = frame.toString('hex');
      return hex.endsWith('00000000') ? hex.slice(0, -8) : hex;
    };

    /** A guest that is told the time. */
    function guestAt(): {
      guest: GuestAddresses;
      says: (atMs: number, frame: Buffer) => void;
      told: () => string[];
    } {
      let nowMs = 0;
      const guest = new GuestAddresses(MAC, () => nowMs);
      return {
        guest,
        says: (atMs, frame) => {
          nowMs = atMs;
          guest.learn(frame);
        },
        told: () => guest.announcements().map((frame) => frame.toString('hex')),
      };
    }

    it('all MACs are announced, the one of the NIC also when it is silent', () => {
      expect(told(arpFrame(OTHER, IP4))).to.deep.equal([
        RARP,
        rarp(OTHER),
        request(OTHER),
        REPLY.replaceAll(HEX, OTHER),
      ]);
      const both = told(arpFrame(HEX, IP4), arpFrame(OTHER, 'c0a80a03'), ipv6Frame(OTHER, IP6));
      expect(both).to.include.members([RARP, rarp(OTHER), REQUEST]);
      expect(both.at(-1)?.slice(12, 24)).to.equal(OTHER);
    });

    it('an address belongs to the one that claimed it last', () => {
      const announced = told(arpFrame(HEX, IP4), arpFrame(OTHER, IP4));
      expect(announced).to.include(request(OTHER));
      expect(announced).not.to.include(REQUEST);
      expect(announced).to.include.members([RARP, rarp(OTHER)]);
    });

    it('a packet from a claimed address by way of another MAC moves it only once its station is silent', () => {
      const { says, told } = guestAt();
      says(0, arpFrame(OTHER, IP4));
      says(2000, ipv4Frame(HEX, IP4));
      expect(told()).to.include(request(OTHER)).and.not.to.include(REQUEST);
      says(6000, ipv4Frame(HEX, IP4));
      expect(told()).to.include(REQUEST).and.not.to.include(request(OTHER));
    });

    it('a station that was silent for long is not announced', () => {
      const { says, told } = guestAt();
      says(0, arpFrame(OTHER, IP4));
      says(LATELY_MS, arpFrame(HEX, 'c0a80a03'));
      expect(told()).to.include(rarp(OTHER));
      says(LATELY_MS + 1, arpFrame(HEX, 'c0a80a03'));
      expect(told()).not.to.include.members([rarp(OTHER)]);
      expect(told()).to.have.length(3);
    });

    it('on VLANs are announced there, with their tags and without priority; the same address may be on several', () => {
      const vlan7 = '81000007';
      const double = '88a8000581000007';
      const frames = [
        arpFrame(HEX, IP4),
        tagged(arpFrame(HEX, IP4), '8100e007'),
        tagged(ipv6Frame(HEX, IP6), '88a8e0058100e007'),
      ];
      const guest = new GuestAddresses(MAC);
      for (const frame of frames) guest.learn(frame);
      expect(guest.announcements().map(padded).sort()).to.deep.equal(
        [
          padded(bytes(RARP)),
          padded(bytes(REQUEST)),
          padded(bytes(REPLY)),
          ...[RARP, REQUEST, REPLY].map((frame) => tagged(frame, vlan7).toString('hex').slice(0, -16)),
          tagged(RARP, double).toString('hex').slice(0, -24),
          tagged(ADVERTISEMENT, double).toString('hex'),
        ].sort(),
      );
      for (const frame of guest.announcements()) expect(frame.length).to.be.at.least(60);
    });

    it('a bounded number is remembered, the latest', () => {
      const mac = (i: number): string => `02${i.toString(16).padStart(10, '0')}`;
      const announced = told(
        ...Array.from({ length: STATIONS_MAX + 10 }, (_unused, i) => arpFrame(mac(i + 1), IP4)),
      );
      expect(announced).to.have.length(1 + STATIONS_MAX + 2);
      expect(announced).to.include.members([RARP, rarp(mac(STATIONS_MAX + 10)), rarp(mac(11))]);
      expect(announced).not.to.include.members([rarp(mac(10))]);
    });

    it('frames go out in bursts, all of them and in order', () => {
      const frames = Array.from({ length: 70 }, (_unused, i) => Buffer.of(i));
      const sent: number[] = [];
      const waits: (() => void)[] = [];
      announce(
        frames,
        (frame) => sent.push(frame.readUInt8(0)),
        (go, delayMs) => {
          expect(delayMs).to.be.above(0);
          waits.push(go);
        },
      );
      const bursts = [sent.length];
      for (let go = waits.shift(); go !== undefined; go = waits.shift()) {
        go();
        bursts.push(sent.length);
      }
      expect(bursts).to.deep.equal([32, 64, 70]);
      expect(sent).to.deep.equal(frames.map((frame) => frame.readUInt8(0)));
    });
  });

  it('reads a MAC', () => {
    expect(macBytes(MAC).toString('hex')).to.equal(HEX);
  });
});
