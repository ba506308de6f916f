// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { COPY_BLOCK_BYTES, CopySource } from './copy-source.js';
import { CopyTarget } from './copy-target.js';
import { byAge, nextLife, tooOld, type HostImage, type ImageAge } from './newest.js';
import { RequestOrder } from './order.js';
import { KnownOutcomes, ToldOutcomes } from './outcomes.js';
import type { DiskRequest } from './request.js';

const B = COPY_BLOCK_BYTES;

const request = (kind: DiskRequest['kind'], offset = 0, length = 0): DiskRequest => ({
  kind,
  offset,
  length,
  fua: false,
  mayPunch: true,
});

describe('order of disk requests', () => {
  it('those that touch the same bytes wait for each other, in the order in which they came', () => {
    const order = new RequestOrder();
    expect(order.add(1, request('write', 0, 8))).to.equal(true);
    expect(order.add(2, request('read', 4, 8))).to.equal(false);
    expect(order.add(3, request('write', 8, 8))).to.equal(false); // behind the read
    expect(order.add(4, request('read', 100, 8))).to.equal(true);
    expect(order.finish(1)).to.deep.equal([2]);
    expect(order.finish(2)).to.deep.equal([3]);
    expect(order.finish(3)).to.deep.equal([]);
    expect(order.finish(4)).to.deep.equal([]);
    expect(order.size).to.equal(0);
  });

  it('reads go beside each other, neighbours beside each other, a flush waits for nobody', () => {
    const order = new RequestOrder();
    expect(order.add(1, request('read', 0, 8))).to.equal(true);
    expect(order.add(2, request('read', 0, 8))).to.equal(true);
    expect(order.add(3, request('write', 8, 8))).to.equal(true);
    expect(order.add(4, request('flush'))).to.equal(true);
    expect(order.add(5, request('zero', 0, 4))).to.equal(false);
    expect(order.finish(1)).to.deep.equal([]);
    expect(order.finish(2)).to.deep.equal([5]);
  });
});

describe('outcomes of disk requests', () => {
  const outcome = (k: number, error = 0) => ({ disk: 0, k, error, written: error === 0 ? 0 : 512 });

  it('are kept until log beyond their position has come', () => {
    const told = new ToldOutcomes();
    told.tell(outcome(1), 100);
    told.tell(outcome(2), 100);
    told.tell(outcome(3), 120);
    told.acknowledge(100); // log up to where they were told: sent after it is only what lies beyond
    expect(told.length).to.equal(3);
    told.acknowledge(101);
    expect(told.all()).to.deep.equal([outcome(3)]);
    told.acknowledge(200);
    expect(told.length).to.equal(0);
  });

  it('are known once each, in any order, however often they come', () => {
    const known = new KnownOutcomes();
    expect(known.take(1)).to.equal(null);
    known.learn(outcome(2, 28));
    expect(known.has(1)).to.equal(false);
    expect(known.take(2)).to.deep.equal({ error: 28, written: 512 });
    known.learn(outcome(1));
    known.learn(outcome(2));
    known.learn(outcome(1, 5)); // a repetition says what it said
    expect(known.take(1)).to.deep.equal({ error: 0, written: 0 });
    expect(known.has(3)).to.equal(false);
  });
});

describe('copy of an image, source', () => {
  it('reads each block once, in turn, and wanted ones first', () => {
    const source = new CopySource(4 * B);
    source.want(2);
    source.want(99);
    const read: number[] = [];
    for (let block = source.next(); block !== null; block = source.next()) {
      source.begin(block);
      read.push(block);
      source.finish(block);
    }
    expect(read).to.deep.equal([2, 0, 1, 3]);
    expect(source.isDone).to.equal(true);
    expect(source.doneBytes).to.equal(4 * B);
  });

  it('a write waits for the blocks that it touches: unread ones are to be read, those being read are waited for', () => {
    const source = new CopySource(4 * B);
    const write = request('write', B - 1, B + 2); // 0, 1 and 2
    source.begin(1);
    expect(source.before(write)).to.deep.equal({ unread: [0, 2], isFree: false });
    for (const block of [0, 2]) source.begin(block);
    expect(source.before(write)).to.deep.equal({ unread: [], isFree: false });
    for (const block of [0, 1, 2]) source.finish(block);
    expect(source.before(write)).to.deep.equal({ unread: [], isFree: true });
  });

  it('takes the blocks of a hole that nobody has changed since, and not those half in it', () => {
    const source = new CopySource(5 * B + 10);
    source.begin(2);
    expect(source.hole(10, 4 * B + 10)).to.deep.equal([
      [1, 2],
      [3, 4],
    ]);
    expect(source.hole(4 * B, 5 * B + 10)).to.deep.equal([[4, 6]]);
    expect(source.isDone).to.equal(false);
    expect(source.next()).to.equal(0);
  });
});

describe('copy of an image, target', () => {
  it('a request waits for what it touches; what it writes whole is there by it, and what comes for it is thrown away', () => {
    const target = new CopyTarget(4 * B);
    expect(target.before(request('read', 0, 1))).to.deep.equal({ absent: [0], isFree: false });
    expect(target.before(request('write', B, B))).to.deep.equal({ absent: [], isFree: true });
    expect(target.arrives(1)).to.equal(false);
    expect(target.before(request('read', B, B))).to.deep.equal({ absent: [], isFree: true });
    // Half of block 2: it is waited for, and block 3 is not taken before.
    expect(target.before(request('write', 2 * B + 1, 2 * B - 1))).to.deep.equal({
      absent: [2],
      isFree: false,
    });
    expect(target.arrives(3)).to.equal(true);
    expect(target.before(request('zero', 3 * B, B)).isFree).to.equal(false); // it is being written
    target.arrived(3);
    expect(target.before(request('zero', 3 * B, B)).isFree).to.equal(true);
    target.zeroes(0, 4);
    expect(target.isWhole).to.equal(true);
    expect(target.doneBytes).to.equal(4 * B);
  });

  it('the last block may be short, and is covered by what reaches the end', () => {
    const target = new CopyTarget(B + 10);
    expect(target.before(request('write', B, 10)).isFree).to.equal(true);
    expect(target.arrives(1)).to.equal(false);
  });
});

/**
 * The whole of a copy at random: a guest writes to the source while it is copied, and its writes are replayed on the
 * target at a time of their own. Both must be equal in the end, and each replayed read must see what the guest saw.
 */
describe('copy of an image under a guest that writes', () => {
  const BLOCKS = 6;
  /** Two cells a block, so that a write may cover half of one. */
  const CELLS = 2 * BLOCKS;
  const CELL = B / 2;

  function run(seed: number): void {
    let state = seed;
    const draw = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const from = Array.from({ length: CELLS }, (_, cell) => draw(3) * (cell + 1));
    const to = new Array<number>(CELLS).fill(0);
    const source = new CopySource(CELLS * CELL);
    const target = new CopyTarget(CELLS * CELL);
    const wire: { block: number; cells: number[] }[] = [];
    const log: { request: DiskRequest; value: number; seen: number[] }[] = [];
    const cellsOf = ({ offset, length }: DiskRequest): number[] =>
      Array.from({ length: length / CELL }, (_, index) => offset / CELL + index);
    const read = (block: number): void => {
      source.begin(block);
      wire.push({ block, cells: from.slice(2 * block, 2 * block + 2) });
      source.finish(block);
    };
    const guest = (value: number): void => {
      const cell = draw(CELLS);
      const length = (1 + draw(CELLS - cell)) * CELL;
      const made = request(draw(2) === 0 ? 'read' : 'write', cell * CELL, length);
      const seen = cellsOf(made).map((one) => from[one] ?? 0);
      if (made.kind === 'write') {
        for (const block of source.before(made).unread) read(block);
        expect(source.before(made).isFree).to.equal(true);
        for (const one of cellsOf(made)) from[one] = value;
      }
      log.push({ request: made, value, seen });
    };
    const arrive = (): void => {
      const item = wire.splice(draw(wire.length), 1)[0];
      if (item === undefined || !target.arrives(item.block)) return;
      item.cells.forEach((value, index) => (to[2 * item.block + index] = value));
      target.arrived(item.block);
    };
    const replay = (): void => {
      const [next] = log;
      if (next === undefined) return;
      const { absent, isFree } = target.before(next.request);
      for (const block of absent) source.want(block);
      if (!isFree) return;
      log.shift();
      if (next.request.kind === 'write') for (const one of cellsOf(next.request)) to[one] = next.value;
      else expect(cellsOf(next.request).map((one) => to[one])).to.deep.equal(next.seen);
    };
    const copy = (): void => {
      const block = source.next();
      if (block !== null) read(block);
    };
    for (let step = 0; step < 60; step++) {
      const what = draw(4);
      if (what === 0) guest(1000 + step);
      else if (what === 1) arrive();
      else if (what === 2) replay();
      else copy();
    }
    while (!source.isDone || wire.length > 0 || log.length > 0) {
      copy();
      arrive();
      replay();
    }
    expect(target.isWhole, `seed ${String(seed)}`).to.equal(true);
    expect(to, `seed ${String(seed)}`).to.deep.equal(from);
  }

  it('ends equal, and no replayed read sees anything else than the guest did', () => {
    for (let seed = 1; seed <= 500; seed++) run(seed);
  });
});

describe('which image is the disk', () => {
  const images = (...records: HostImage['record'][]): HostImage[] =>
    records.map((record, index) => ({ host: 'abc'[index] ?? '?', record }));
  const age = (
    state: ImageAge['state'],
    life: number,
    epoch: number,
    side = '',
    of: string | null = null,
  ): ImageAge => ({ state, life, epoch, side, of });

  const ROWS: readonly [string, HostImage[], string | null][] = [
    ['nobody says anything', images(null, null), null],
    ['the owner of the newer epoch', images(age('owner', 1, 2), age('owner', 1, 3)), 'b'],
    ['the owner before its own backup', images(age('backup', 1, 2), age('owner', 1, 2)), 'b'],
    [
      'the backup that took over, before the owner of the same epoch',
      images(age('owner', 1, 2), age('alone', 1, 2)),
      'b',
    ],
    [
      'the primary before the backup that knows of a newer epoch first',
      images(age('backup', 1, 3, 'B', 'A'), age('alone', 1, 2, 'A')),
      'b',
    ],
    [
      'the backup of one that is gone, before who was lost before',
      images(age('alone', 1, 2, 'A'), age('backup', 1, 3, 'B', 'C')),
      'b',
    ],
    ['the later life, whatever its epoch', images(age('owner', 2, 1), age('owner', 1, 9)), 'a'],
    ['never one that is not whole', images(age('incomplete', 5, 9), age('owner', 1, 1)), 'b'],
    ['an owner before a copy that was never protected', images(age('copy', 1, 0), age('owner', 1, 1)), 'b'],
  ];
  for (const [what, all, newest] of ROWS) {
    it(what, () => {
      expect(byAge(all)[0]?.host ?? null).to.equal(newest);
      for (const { host } of all) {
        const why = tooOld(all, host);
        if (newest === null || host === newest) expect(why).to.equal(null);
        else expect(why).to.be.a('string');
      }
    });
  }

  it('a start from nothing begins a life above all that are known', () => {
    expect(nextLife(images(null, null))).to.equal(1);
    expect(nextLife(images(age('incomplete', 4, 0), age('owner', 2, 7)))).to.equal(5);
  });

  it('one that is not whole is no disk, also alone', () => {
    expect(tooOld(images(age('incomplete', 1, 0)), 'a')).to.match(/not whole/);
  });
});
