// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import type { TapListener } from '../../native/addon/index.js';
import { PacketMarks } from '../io/packet-marks.js';
import { Ingress } from './ingress.js';

/** One side: its tap, and the QEMU that gets what comes. */
class Side {
  readonly given: Buffer[] = [];
  readonly forwarded: { first: number; packets: readonly Uint8Array[] }[] = [];
  /** Whether QEMU reads. */
  takes = true;
  readonly ingress: Ingress;
  private listener: TapListener | null = null;

  constructor() {
    this.ingress = new Ingress({
      tap: {
        start: (listener) => {
          this.listener = listener;
        },
      },
      deliver: (packets) => {
        if (!this.takes) return 0;
        this.given.push(...packets.map((one) => Buffer.from(one)));
        return packets.length;
      },
      forward: (first, packets) => this.forwarded.push({ first, packets }),
      onError: (error) => {
        throw error;
      },
    });
  }

  network(...frames: Buffer[]): void {
    this.listener?.onFrames(frames);
  }
}

const frame = (n: number): Buffer => {
  const bytes = Buffer.alloc(60);
  bytes.writeUInt32BE(n, 20);
  return bytes;
};
const numbers = (frames: readonly Uint8Array[]): number[] =>
  frames.map((one) => Buffer.from(one).readUInt32BE(20));

describe('packets on their way to the guest', () => {
  it('are forwarded after QEMU was given them, numbered as QEMU counts them', () => {
    const primary = new Side();
    primary.network(frame(1));
    expect(primary.given.length + primary.forwarded.length).to.equal(0);
    primary.ingress.open();
    primary.network(frame(2), frame(3));
    primary.takes = false;
    primary.network(frame(4));
    primary.takes = true;
    primary.network(frame(5));
    expect(numbers(primary.given)).to.deep.equal([1, 2, 3, 5]);
    const told = primary.forwarded.map(({ first, packets }) => [first, numbers(packets)]);
    expect(told).to.deep.equal([
      [1, [1]],
      [2, [2, 3]],
      [4, [5]],
    ]);
  });

  it('at go-live: the forwarded first, then those of the own network that are no others', () => {
    const backup = new Side();
    backup.network(frame(7), frame(2));
    backup.ingress.fromPrimary(1, [frame(1), frame(2)]);
    backup.network(frame(8));
    expect(backup.ingress.open()).to.deep.equal({ forwarded: 2, own: 2 });
    expect(backup.ingress.open()).to.deep.equal({ forwarded: 0, own: 0 });
    backup.network(frame(9));
    expect(numbers(backup.given)).to.deep.equal([1, 2, 7, 8, 9]);
    expect(backup.forwarded.map(({ first }) => first)).to.deep.equal([1, 5]);
    backup.ingress.fromPrimary(3, [frame(3)]); // too late: it is somebody else's VM
    expect(backup.given.length).to.equal(5);
  });

  it('another log, another count', () => {
    const backup = new Side();
    backup.ingress.fromPrimary(1, [frame(1)]);
    backup.ingress.inLog(50);
    backup.ingress.newLog();
    backup.ingress.fromPrimary(2, [frame(2)]);
    backup.ingress.open();
    expect(numbers(backup.given)).to.deep.equal([2]);
  });
});

/** What may happen on a primary, and on the connection to its backup. */
type Step = 'log' | 'look' | 'ship' | 'lag' | 'receive' | Arrival;
/** One more packet: for the primary's host alone or for both; some are left out when they should be forwarded. */
type Arrival = 'arrive' | 'arriveLeftOut' | 'flood' | 'floodLeftOut';
const STEPS: readonly Step[] = ['log', 'look', 'ship', 'lag', 'receive', 'arrive', 'arriveLeftOut'];
const FLOODS: readonly Step[] = ['flood', 'floodLeftOut'];

/** A primary, a connection in order, a backup: as in host.ts, with a log that is 10 bytes a packet. */
class PairOfSides {
  readonly primary = new Side();
  readonly backup = new Side();
  private readonly marks = new PacketMarks();
  private readonly heads: number[] = [0];
  private readonly wire: (() => void)[] = [];
  private logged = 0;
  private arrived = 0;
  private backupHasLog = 0;
  readonly received = new Set<number>();

  constructor() {
    this.primary.ingress.open();
  }

  do(step: Step): void {
    switch (step) {
      case 'arrive':
      case 'arriveLeftOut':
      case 'flood':
      case 'floodLeftOut':
        this.arrive(step);
        return;
      case 'log':
        this.logged += this.logged < this.primary.given.length ? 1 : 0;
        return;
      case 'look':
        this.marks.note(this.logged, this.logged * 10);
        this.heads.push(this.logged * 10);
        return;
      case 'ship':
        this.ship(this.heads.at(-1) ?? 0);
        return;
      case 'lag':
        this.ship(this.heads.at(-2) ?? 0);
        return;
      case 'receive':
        this.wire.shift()?.();
    }
  }

  private arrive(how: Arrival): void {
    this.arrived += 1;
    this.primary.network(frame(this.arrived));
    if (how === 'flood' || how === 'floodLeftOut') this.backup.network(frame(this.arrived));
    const sent = this.primary.forwarded.at(-1);
    if (how === 'arriveLeftOut' || how === 'floodLeftOut' || sent === undefined) return;
    this.wire.push(() => {
      this.backup.ingress.fromPrimary(sent.first, sent.packets);
      for (const n of numbers(sent.packets)) this.received.add(n);
    });
  }

  private ship(to: number): void {
    const packets = this.marks.below(to);
    this.wire.push(() => {
      this.backupHasLog = Math.max(this.backupHasLog, to / 10);
      this.backup.ingress.inLog(packets);
    });
  }

  /** Numbers of the packets that the guest sees: of the log, then of the go-live. */
  promote(): { replayed: number; after: number[] } {
    this.backup.ingress.open();
    return { replayed: this.backupHasLog, after: numbers(this.backup.given) };
  }
}

describe('packets across a failover', () => {
  it('each that reached the backup in either way is seen by the guest exactly once', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...STEPS), { maxLength: 200 }), (steps) => {
        const pair = new PairOfSides();
        for (const step of steps) pair.do(step);
        const { replayed, after } = pair.promote();
        const due = [...pair.received].filter((n) => n > replayed);
        expect(after).to.deep.equal(due);
      }),
      { numRuns: 500 },
    );
  });

  it('none is seen twice, whatever is left out and whatever comes to both hosts', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...STEPS, ...FLOODS), { maxLength: 200 }), (steps) => {
        const pair = new PairOfSides();
        for (const step of steps) pair.do(step);
        const { replayed, after } = pair.promote();
        const due = [...pair.received].filter((n) => n > replayed);
        expect(after.slice(0, due.length)).to.deep.equal(due);
        expect(after.filter((n) => n <= replayed)).to.deep.equal([]);
        expect(new Set(after).size).to.equal(after.length);
      }),
      { numRuns: 500 },
    );
  });
});
