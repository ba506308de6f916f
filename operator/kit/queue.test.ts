// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { again, done, type Outcome } from './outcome.js';
import { WorkQueue, type QueueEvent, type QueueOptions } from './queue.js';
import { FakeTime, settled } from './test/fake-time.js';

/** Steps of work that end when the test says so. */
class Bench {
  readonly time = new FakeTime();
  readonly begun: string[] = [];
  readonly events: QueueEvent[] = [];
  readonly #open = new Map<string, (outcome: Outcome | Promise<Outcome>) => void>();
  readonly queue: WorkQueue;
  parallel = 0;

  constructor(options: Partial<QueueOptions> = {}) {
    this.queue = new WorkQueue({
      run: (key) => this.#run(key),
      concurrency: 2,
      time: this.time,
      random: () => 0,
      backoff: { firstMs: 100, maxMs: 1_000 },
      observe: (event) => this.events.push(event),
      ...options,
    });
  }

  async end(key: string, outcome: Outcome = done): Promise<void> {
    await this.#settle(key, outcome);
  }

  async fail(key: string, error: Error = new Error('no')): Promise<void> {
    await this.#settle(key, Promise.reject(error));
  }

  get open(): readonly string[] {
    return [...this.#open.keys()];
  }

  #run(key: string): Promise<Outcome> {
    expect(this.#open.has(key), `${key} is worked on twice at a time`).to.equal(false);
    this.begun.push(key);
    return new Promise((resolve) => this.#open.set(key, resolve));
  }

  async #settle(key: string, outcome: Outcome | Promise<Outcome>): Promise<void> {
    const settle = this.#open.get(key);
    if (settle === undefined) throw new Error(`${key} is not worked on`);
    this.#open.delete(key);
    settle(outcome);
    await settled();
  }
}

describe('WorkQueue', function () {
  this.timeout(60_000);

  it('works once on a key that was added often', async () => {
    const bench = new Bench();
    for (let i = 0; i < 5; i++) bench.queue.add('a');
    bench.queue.start();
    for (let i = 0; i < 5; i++) bench.queue.add('a');
    await settled();
    await bench.end('a');
    expect(bench.begun).to.deep.equal(['a']);
    expect(bench.queue.depth).to.equal(0);
  });

  it('works again on a key that was added while in flight, after that', async () => {
    const bench = new Bench();
    bench.queue.start();
    bench.queue.add('a');
    await settled();
    bench.queue.add('a');
    bench.queue.add('a');
    await settled();
    expect(bench.begun).to.deep.equal(['a']);
    await bench.end('a');
    await bench.end('a');
    expect(bench.begun).to.deep.equal(['a', 'a']);
  });

  it('works on as many keys at a time as it may, in their order', async () => {
    const bench = new Bench();
    for (const key of ['a', 'b', 'c', 'd']) bench.queue.add(key);
    bench.queue.start();
    await settled();
    expect(bench.begun).to.deep.equal(['a', 'b']);
    expect([bench.queue.depth, bench.queue.inFlight]).to.deep.equal([2, 2]);
    await bench.end('b');
    expect(bench.begun).to.deep.equal(['a', 'b', 'c']);
  });

  it('waits longer after each failure, up to a maximum, and forgets them after a success', async () => {
    const bench = new Bench();
    bench.queue.start();
    bench.queue.add('a');
    for (const waitMs of [100, 200, 400, 800, 1_000, 1_000]) {
      await settled();
      await bench.fail('a');
      await bench.time.advance(waitMs - 1);
      expect(bench.open, `after ${waitMs - 1} ms`).to.deep.equal([]);
      await bench.time.advance(1);
      expect(bench.open, `after ${waitMs} ms`).to.deep.equal(['a']);
    }
    await bench.end('a');
    bench.queue.add('a');
    await settled();
    await bench.fail('a');
    await bench.time.advance(100);
    expect(bench.open).to.deep.equal(['a']);
  });

  it('keeps the pause that a busy server asks for', async () => {
    const bench = new Bench();
    bench.queue.start();
    bench.queue.add('a');
    await settled();
    await bench.fail('a', Object.assign(new Error('429'), { retryAfterMs: 5_000 }));
    await bench.time.advance(4_999);
    expect(bench.open).to.deep.equal([]);
    await bench.time.advance(1);
    expect(bench.open).to.deep.equal(['a']);
  });

  it('a key that fails holds up no other', async () => {
    const bench = new Bench({ concurrency: 1 });
    bench.queue.start();
    bench.queue.add('bad');
    bench.queue.add('good');
    await settled();
    await bench.fail('bad');
    expect(bench.open).to.deep.equal(['good']);
  });

  it('a failing key is tried at once when something about it has changed', async () => {
    const bench = new Bench();
    bench.queue.start();
    bench.queue.add('a');
    await settled();
    await bench.fail('a');
    bench.queue.add('a');
    await settled();
    expect(bench.open).to.deep.equal(['a']);
  });

  it('looks again when it was told to', async () => {
    const bench = new Bench();
    bench.queue.start();
    bench.queue.add('a');
    await settled();
    await bench.end('a', again(500, 'Soon'));
    await bench.time.advance(499);
    expect(bench.open).to.deep.equal([]);
    await bench.time.advance(1);
    expect(bench.open).to.deep.equal(['a']);
  });

  it('of several times the earliest counts, and only once', async () => {
    const bench = new Bench();
    bench.queue.start();
    for (const ms of [300, 100, 200]) bench.queue.addAfter('a', ms);
    expect(bench.queue.delayed).to.equal(1);
    await bench.time.advance(100);
    await bench.end('a');
    await bench.time.advance(1_000);
    expect(bench.begun).to.deep.equal(['a']);
    bench.queue.addAfter('a', 0);
    await settled();
    expect(bench.open).to.deep.equal(['a']);
  });

  it('halts: begins nothing, waits for what is in flight, and may go on', async () => {
    const bench = new Bench({ concurrency: 1 });
    bench.queue.start();
    bench.queue.add('a');
    bench.queue.add('b');
    await settled();
    let halted = false;
    const halt = bench.queue.halt().then(() => (halted = true));
    await settled();
    expect(halted).to.equal(false);
    bench.queue.add('a');
    await bench.end('a');
    await halt;
    expect(bench.begun).to.deep.equal(['a']);
    expect(bench.queue.depth).to.equal(2);
    bench.queue.start();
    await settled();
    expect(bench.open).to.deep.equal(['b']);
  });

  it('started again before a halt is over, it still works on a key once at a time', async () => {
    const bench = new Bench();
    bench.queue.start();
    bench.queue.add('a');
    await settled();
    const halt = bench.queue.halt();
    bench.queue.start();
    bench.queue.add('a');
    await settled();
    expect(bench.begun).to.deep.equal(['a']);
    await bench.end('a');
    await halt;
    expect(bench.open).to.deep.equal(['a']);
  });

  it('forgets all when it is told to', async () => {
    const bench = new Bench();
    bench.queue.add('a');
    bench.queue.addAfter('b', 10);
    bench.queue.clear();
    bench.queue.start();
    await bench.time.advance(20);
    expect(bench.begun).to.deep.equal([]);
    expect(bench.time.pending).to.equal(0);
  });

  it('tells how long a key waited, how long it took and what came of it', async () => {
    const bench = new Bench();
    bench.queue.add('a');
    await bench.time.advance(30);
    expect(bench.queue.oldestMs).to.equal(30);
    bench.queue.start();
    await settled();
    await bench.time.advance(7);
    const error = new Error('no');
    await bench.fail('a', error);
    expect(bench.events).to.deep.equal([
      { type: 'began', key: 'a', waitedMs: 30 },
      { type: 'ended', key: 'a', tookMs: 7, result: { kind: 'failed', error, failures: 1, afterMs: 100 } },
    ]);
  });

  it('works on 10,000 keys, each once, however often they come', async () => {
    const bench = new Bench({ run: (key) => Promise.resolve(void bench.begun.push(key)).then(() => done) });
    bench.queue.start();
    for (let round = 0; round < 3; round++) for (let i = 0; i < 10_000; i++) bench.queue.add(`key-${i}`);
    while (bench.queue.depth + bench.queue.inFlight > 0) await settled();
    expect(bench.begun).to.have.length(10_000);
    expect(new Set(bench.begun).size).to.equal(10_000);
  });

  it('refuses bounds that cannot work', () => {
    expect(() => new Bench({ concurrency: 0 })).to.throw(RangeError, /concurrency/);
    expect(() => new Bench({ backoff: { firstMs: 2, maxMs: 1 } })).to.throw(/must hold/);
  });

  it('loses no key and never works twice on one, in whatever order things happen', async () => {
    const key = fc.constantFrom('a', 'b', 'c');
    const step = fc.oneof(
      fc.record({ act: fc.constant('add' as const), key }),
      fc.record({ act: fc.constant('addAfter' as const), key, ms: fc.integer({ min: 0, max: 300 }) }),
      fc.record({ act: fc.constantFrom('end' as const, 'fail' as const, 'again' as const), key }),
      fc.record({ act: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 500 }) }),
      fc.record({ act: fc.constant('halt' as const) }),
      fc.record({ act: fc.constant('start' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const bench = new Bench();
        /** How often each key had begun when it was added last. */
        const owed = new Map<string, number>();
        const begunOf = (name: string): number => bench.begun.filter((other) => other === name).length;
        for (const it of steps) {
          if (it.act === 'add' || it.act === 'addAfter') {
            owed.set(it.key, begunOf(it.key));
            if (it.act === 'add') bench.queue.add(it.key);
            else bench.queue.addAfter(it.key, it.ms);
          } else if (it.act === 'advance') await bench.time.advance(it.ms);
          else if (it.act === 'start') bench.queue.start();
          else if (it.act === 'halt')
            bench.queue.halt().catch((error: unknown) => expect.fail(String(error)));
          else if (bench.open.includes(it.key)) {
            if (it.act === 'fail') await bench.fail(it.key);
            else await bench.end(it.key, it.act === 'end' ? done : again(50, 'Soon'));
          }
          await settled();
          expect(bench.open.length).to.be.at.most(2);
        }
        bench.queue.start();
        for (
          let round = 0;
          round < 100 && bench.queue.depth + bench.queue.delayed + bench.queue.inFlight > 0;
          round++
        ) {
          for (const name of bench.open) await bench.end(name);
          await bench.time.advance(500);
        }
        for (const [name, before] of owed) expect(begunOf(name), name).to.be.greaterThan(before);
        expect(bench.time.pending).to.equal(0);
      }),
      { numRuns: 300 },
    );
  });
});
