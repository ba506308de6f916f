// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { MARKS_MAX, PacketMarks } from './packet-marks.js';

describe('how many packets the log holds', () => {
  it('is known exactly where it was looked at, and never too high between', () => {
    const step = fc.record({ bytes: fc.integer({ min: 0, max: 50 }), packets: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const marks = new PacketMarks();
        const truth: [lsn: number, packets: number][] = [[0, 0]];
        let [lsn, packets] = [0, 0];
        for (const one of steps) {
          lsn += one.bytes + one.packets; // a packet takes up log
          packets += one.packets;
          marks.note(packets, lsn);
          truth.push([lsn, packets]);
        }
        for (const [at, count] of truth) expect(marks.below(at)).to.equal(count);
        for (let at = 0; at <= lsn; at += 1) {
          const known = truth.findLast(([below]) => below <= at);
          expect(marks.below(at)).to.equal(known?.[1]);
        }
      }),
    );
  });

  it('remembers a bounded past; before it nothing is claimed', () => {
    const marks = new PacketMarks();
    for (let n = 1; n <= 10 * MARKS_MAX; n += 1) marks.note(n, n * 100);
    expect(marks.below(10 * MARKS_MAX * 100)).to.equal(10 * MARKS_MAX);
    expect(marks.below((10 * MARKS_MAX - 1000) * 100)).to.equal(10 * MARKS_MAX - 1000);
    expect(marks.below(100)).to.equal(0);
  });
});
