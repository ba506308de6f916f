// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { readPcap } from './pcap.js';
import { judge } from './wire.js';

const at = (ns: number, text: string) => ({ atNs: BigInt(ns), bytes: Buffer.from(text) });

describe('who speaks for the guest', () => {
  it('is one host after the other', () => {
    const verdict = judge(
      [
        { host: 'a', packets: [at(1, 'x'), at(2, 'y')] },
        { host: 'b', packets: [at(3, 'y'), at(4, 'z')] },
      ],
      1,
    );
    expect(verdict).to.deep.equal({ turns: ['a', 'b'], packets: 4, late: 0, contradictions: [] });
  });

  it('is contradicted by a host that speaks again', () => {
    const captures = [
      { host: 'a', packets: [at(1, 'x'), at(4, 'w')] },
      { host: 'b', packets: [at(3, 'y'), at(5, 'z')] },
    ];
    expect(judge(captures, 1).contradictions).to.have.length(1);
    expect(judge(captures, 0).contradictions).to.have.length(2);
  });

  it('tells a late copy from a contradiction', () => {
    const captures = [
      { host: 'a', packets: [at(1, 'x'), at(4, 'y')] },
      { host: 'b', packets: [at(3, 'y'), at(5, 'z')] },
    ];
    expect(judge(captures, 1)).to.deep.include({ late: 1, contradictions: [] });
  });

  it('refuses what is no capture', () => {
    expect(() => readPcap(Buffer.alloc(30))).to.throw('not a little-endian pcap');
    expect(() => readPcap(Buffer.alloc(3))).to.throw('not a little-endian pcap');
  });

  it('reads whole packets only', () => {
    const file = Buffer.alloc(24 + 16 + 4);
    file.writeUInt32LE(0xa1b23c4d);
    file.writeUInt32LE(4, 24 + 8);
    file.writeUInt32LE(4, 24 + 12);
    expect(readPcap(file)).to.deep.equal([{ atNs: 0n, bytes: Buffer.alloc(4) }]);
    expect(readPcap(file.subarray(0, -1))).to.deep.equal([]);
    file.writeUInt32LE(60, 24 + 12);
    expect(() => readPcap(file)).to.throw('cut a packet short');
  });
});
