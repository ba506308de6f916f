// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { settled } from './test/fake-time.js';
import { InformerBench, isList, isWatch, wordOf } from './test/informer-bench.js';
import { CONFIG_MAPS } from './test/resources.js';
import { until } from './test/until.js';

describe('Informer, in trouble', function () {
  this.timeout(60_000);

  const bench = new InformerBench();
  const { make, started, watching, has, put, remove, count, reasons, retries } = bench;

  beforeEach(bench.open);
  afterEach(bench.close);

  it('cut at any byte it misses nothing and tells nothing twice', async () => {
    for (let cutAfterBytes = 1; cutAfterBytes < 750; cutAfterBytes += 53) {
      bench.told = [];
      bench.events = [];
      for (const { metadata } of bench.server.list(CONFIG_MAPS)) bench.server.remove(CONFIG_MAPS, metadata);
      bench.server.fail({ when: isWatch, times: 1, with: { cutAfterBytes } });
      await started();
      for (const name of ['ä', 'b', 'c']) put(name, `${name}-grün-☃`);
      await has('b=b-grün-☃', 'c=c-grün-☃', 'ä=ä-grün-☃');
      expect(count('watchOpened'), `cut after ${cutAfterBytes} bytes`).to.equal(2);
      expect(bench.told, `cut after ${cutAfterBytes} bytes`).to.deep.equal([
        'add ä=ä-grün-☃',
        'add b=b-grün-☃',
        'add c=c-grün-☃',
      ]);
      await bench.informer.stop();
    }
  });

  it('what vanished during a gap is bench.told, in the form in which it was seen last', async () => {
    put('a');
    put('b');
    await started();
    bench.server.fail({ when: isWatch, times: 1, with: { status: 500 } });
    bench.server.cutWatches();
    remove('a');
    bench.server.compact();
    await has('b=1');
    expect(bench.told).to.deep.equal(['add a=1', 'add b=1', 'delete a=1']);
    expect(reasons()).to.deep.equal(['start', 'gone']);
  });

  it('410 in an open watch: all is listed again', async () => {
    put('a');
    await started();
    bench.server.holdWatches();
    put('b');
    bench.server.releaseWatches();
    for (const watch of bench.server.watches) watch.error(410, 'Expired', 'too old');
    await until('listed again', () => reasons().includes('gone'), bench.time);
    await has('a=1', 'b=1');
    expect(bench.told).to.deep.equal(['add a=1', 'add b=1']);
  });

  it('410 on page 2 of a list: all comes in one page', async () => {
    for (const name of ['a', 'b', 'c']) put(name);
    bench.server.fail({
      when: ({ query }) => query['continue'] !== undefined,
      times: 1,
      with: { status: 410 },
    });
    await started({ limits: { pageSize: 2 } });
    await has('a=1', 'b=1', 'c=1');
    expect(bench.server.requests.filter(isList).map(({ query }) => query['limit'])).to.deep.equal([
      '2',
      '2',
      undefined,
    ]);
    expect(retries()).to.deep.equal([]);
  });

  it('429: keeps the pause that the server asks for', async () => {
    bench.server.fail({ when: isList, times: 1, with: { status: 429, retryAfterS: 20 } });
    make().start();
    await until('refused', () => count('failed') === 1);
    expect(retries()).to.deep.equal([20_000]);
    await bench.time.advance(19_999);
    expect(bench.server.requests).to.have.length(1);
    await bench.time.advance(1);
    await until('synced', () => bench.informer.synced);
  });

  it('never gives up, and comes back ever more slowly', async () => {
    const mend = bench.server.fail({ when: () => true, with: { status: 503 } });
    make().start();
    await until('ten failures', () => count('failed') === 10, bench.time, 5_000);
    expect(retries()).to.deep.equal([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    expect(bench.informer.synced).to.equal(false);
    mend();
    put('a');
    await until('synced', () => bench.informer.synced, bench.time, 5_000);
    await has('a=1');
  });

  it('a server that ends each watch at once is not asked tens of times a second', async () => {
    bench.server.fail({ when: isWatch, with: { status: 500 } });
    make().start();
    await until('six failures', () => count('failed') === 6, bench.time, 100);
    expect(retries()).to.deep.equal([250, 500, 1_000, 2_000, 4_000, 8_000]);
    expect(reasons().slice(0, 2), 'a version that leads nowhere is not kept').to.deep.equal([
      'start',
      'failures',
    ]);
  });

  it('the server is away, then another process without its watch cache', async () => {
    put('a');
    await started();
    await bench.server.stop();
    await until('three failures', () => count('failed') === 3, bench.time);
    expect(reasons(), 'nobody has said that the version is bad').to.deep.equal(['start']);
    put('b');
    remove('a');
    await bench.server.restart();
    await has('b=1');
    expect(bench.told).to.deep.equal(['add a=1', 'delete a=1', 'add b=1']);
    expect(bench.informer.get('default/a')).to.equal(undefined);
  });

  it('a watch that is open and silent too long is left, and all is listed again', async () => {
    await started();
    bench.server.holdWatches();
    put('a');
    await bench.time.advance(100_000);
    expect(bench.informer.signAgeMs()).to.be.within(100_000, 101_000);
    for (const watch of bench.server.watches) watch.raw('\n');
    await until('a sign', () => bench.informer.signAgeMs() === 0);
    await bench.time.advance(149_999);
    expect(reasons()).to.deep.equal(['start']);
    await bench.time.advance(1);
    await until('listed again', () => reasons().length === 2, bench.time);
    expect(reasons()).to.deep.equal(['start', 'silent']);
    await has('a=1');
  });

  it('a handler that throws, or whose promise fails, stops nothing', async () => {
    make();
    const boom = new Error('boom');
    bench.informer.on({
      add: () => {
        throw boom;
      },
      // What an async function would be; its type is that of a function without a result.
      update: () => Promise.reject(boom) as unknown as undefined,
    });
    const after: string[] = [];
    bench.informer.on({ add: (object) => after.push(wordOf(object)) });
    put('a');
    bench.informer.start();
    await watching();
    put('a', '2');
    put('b');
    await has('a=2', 'b=1');
    await settled();
    expect(bench.events.filter((event) => event.type === 'handlerFailed')).to.deep.equal(
      Array.from({ length: 3 }, () => ({ type: 'handlerFailed', error: boom })),
    );
    expect(after).to.deep.equal(['a=1', 'b=1']);
    expect(count('failed')).to.equal(0);
  });

  it('nonsense in the stream is an error, after which it goes on', async () => {
    await started();
    for (const watch of bench.server.watches) watch.raw('<html>proxy</html>\n');
    put('a');
    await has('a=1');
    expect(count('failed')).to.equal(1);
  });
});
