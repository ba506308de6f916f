// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { Ring, RING_BYTES_MIN, type RingSettings } from './index.js';
import { codeOf, Condition, FakeShim, ScratchFolder } from './test/fake-shim.js';

const SETTINGS: RingSettings = {
  ringBytes: RING_BYTES_MIN,
  start: 'record',
  beatTimeoutMs: 0,
  quiesceMsMax: 0,
};

function watchThreads(): number {
  const names = readdirSync('/proc/self/task').map((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'utf8');
    } catch {
      return 'a thread that ended meanwhile';
    }
  });
  return names.filter((name) => name.startsWith('ring-watch')).length;
}

describe('watch', function () {
  this.timeout(20_000);
  const scratch = new ScratchFolder();
  const rings: Ring[] = [];
  const shims: FakeShim[] = [];
  let serial = 0;

  function create(): { ring: Ring; shim: FakeShim } {
    const path = scratch.file(`ring-${serial++}`);
    const ring = Ring.create(path, SETTINGS);
    const shim = new FakeShim(path);
    rings.push(ring);
    shims.push(shim);
    return { ring, shim };
  }

  afterEach(async () => {
    for (const ring of rings.splice(0)) ring.close();
    for (const shim of shims.splice(0)) await shim.kill();
  });

  after(() => {
    scratch.remove();
  });

  it('calls once for what was there before, then for every change', async () => {
    const { ring, shim } = create();
    await shim.tell('fill 10');
    const seen = new Condition();
    let produced = -1;
    ring.watch({ minIntervalUs: 0 }, () => {
      produced = ring.produced;
      seen.changed();
    });
    await seen.until(() => produced === 10);
    for (const head of [11, 12, 13]) {
      await shim.tell('fill 1');
      await seen.until(() => produced === head);
    }
    await shim.set('state', 1);
    await seen.until(() => ring.state === 'recording');
  });

  it('sleeps when nothing changes, and says so in the control page', async () => {
    const { ring, shim } = create();
    let calls = 0;
    const seen = new Condition();
    ring.watch({ minIntervalUs: 0 }, () => {
      calls++;
      seen.changed();
    });
    await seen.until(() => calls === 1);
    while ((await shim.get('to_sidecar_waiters')) !== 1);
    expect(calls).to.equal(1);
    ring.unwatch();
    expect(await shim.get('to_sidecar_waiters')).to.equal(0);
  });

  it('makes one call of many changes while the callback is busy', async () => {
    const { ring, shim } = create();
    let calls = 0;
    const seen = new Condition();
    ring.watch({ minIntervalUs: 0 }, () => {
      calls++;
      // Blocks as a busy main thread does, while another process makes ten thousand changes.
      if (calls === 1) changeALot(shimPath(serial - 1));
      seen.changed();
    });
    await seen.until(() => calls > 0 && ring.snapshot().qemuBeat === 10_000);
    await shim.tell('tick 1');
    await seen.until(() => ring.snapshot().qemuBeat === 10_001);
    expect(calls).to.be.at.most(4);
  });

  it('keeps calls apart by the minimum interval', async () => {
    const { ring, shim } = create();
    const intervalUs = 20_000;
    const began = process.hrtime.bigint();
    let calls = 0;
    const seen = new Condition();
    ring.watch({ minIntervalUs: intervalUs }, () => {
      calls++;
      seen.changed();
    });
    for (let due = 1; due <= 4; due++) {
      await shim.tell('tick 100');
      await seen.until(() => calls >= due);
    }
    // Of all together: one call may come late, and the next one on time.
    const tookUs = Number(process.hrtime.bigint() - began) / 1000;
    expect(tookUs).to.be.at.least((calls - 1) * intervalUs);
  });

  it('calls again after a callback that throws', async () => {
    const { ring, shim } = create();
    const seen = new Condition();
    let calls = 0;
    const before = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const caught: unknown[] = [];
    process.on('uncaughtException', (error) => {
      caught.push(error);
      seen.changed();
    });
    try {
      ring.watch({ minIntervalUs: 0 }, () => {
        calls++;
        seen.changed();
        if (calls === 1) throw new Error('the callback failed');
      });
      await seen.until(() => caught.length === 1);
      await shim.tell('tick 1');
      await seen.until(() => calls === 2);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of before) process.on('uncaughtException', listener);
    }
    expect(String(caught[0])).to.include('the callback failed');
  });

  it('can be stopped and closed by its own callback', async () => {
    const { ring } = create();
    const closed = new Condition();
    ring.watch({ minIntervalUs: 0 }, () => {
      ring.close();
      closed.changed();
    });
    await closed.until(() => ring.closed);
  });

  it('calls nothing after unwatch, even what was on its way, and may begin again', async () => {
    const { ring, shim } = create();
    let late = 0;
    ring.watch({ minIntervalUs: 0 }, () => late++);
    ring.unwatch();
    ring.unwatch();
    await shim.tell('tick 10');
    await new Promise((resolve) => setImmediate(resolve));
    expect(late).to.equal(0);
    const seen = new Condition();
    let calls = 0;
    ring.watch({ minIntervalUs: 0 }, () => {
      calls++;
      seen.changed();
    });
    expect(
      codeOf(() => {
        ring.watch({ minIntervalUs: 0 }, () => undefined);
      }),
    ).to.equal('RING_WATCHED');
    await seen.until(() => calls === 1);
  });

  it('refuses an interval that is none', () => {
    const { ring } = create();
    for (const minIntervalUs of [-1, 1.5, Number.NaN, 1_000_001])
      expect(
        codeOf(() => {
          ring.watch({ minIntervalUs }, () => undefined);
        }),
      ).to.equal('INVALID_ARGUMENT');
  });

  it('watches many rings at once, each its own', async () => {
    const many = Array.from({ length: 16 }, create);
    const seen = new Condition();
    const heads = many.map(() => -1);
    for (const [i, { ring }] of many.entries())
      ring.watch({ minIntervalUs: 0 }, () => {
        heads[i] = ring.produced;
        seen.changed();
      });
    await Promise.all(many.map(({ shim }, i) => shim.tell(`fill ${i + 1}`)));
    await seen.until(() => heads.every((head, i) => head === i + 1));
    expect(watchThreads()).to.equal(16);
    for (const { ring } of many) ring.close();
    expect(watchThreads()).to.equal(0);
  });

  it('leaves no thread and no memory behind over a thousand stops in the middle of changes', async () => {
    const { ring, shim } = create();
    const busy = shim.tell('tick 2000000');
    const cycle = async (): Promise<void> => {
      ring.watch({ minIntervalUs: 0 }, () => undefined);
      await new Promise((resolve) => setImmediate(resolve));
      ring.unwatch();
    };
    for (let i = 0; i < 100; i++) await cycle();
    const before = readdirSync('/proc/self/fd').length;
    for (let i = 0; i < 1000; i++) await cycle();
    await busy;
    expect(watchThreads()).to.equal(0);
    expect(readdirSync('/proc/self/fd').length).to.equal(before);
  }).timeout(30_000);

  it('ends with its environment: an exit while watching is clean, in the main thread and in a worker', () => {
    const ring = JSON.stringify(scratch.file('exit'));
    Ring.create(scratch.file('exit'), SETTINGS).close();
    const index = JSON.stringify(new URL('./index.js', import.meta.url).href);
    const watch = `const { Ring } = await import(${index});
      const ring = Ring.open(${ring}, { readOnly: false });`;
    run(`${watch} ring.watch({ minIntervalUs: 0 }, () => process.exit(0));`);
    run(`${watch} ring.watch({ minIntervalUs: 0 }, () => undefined); process.exit(0);`);
    run(`import { Worker } from 'node:worker_threads';
      const code = ${JSON.stringify(`${watch} ring.watch({ minIntervalUs: 0 }, () => {
        import('node:worker_threads').then((w) => w.parentPort.postMessage('watching'));
      });`)};
      const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(code)));
      worker.on('message', async () => { await worker.terminate(); process.exit(0); });`);
  }).timeout(30_000);

  function shimPath(n: number): string {
    return scratch.file(`ring-${n}`);
  }
});

function run(program: string): void {
  execFileSync(process.execPath, ['--input-type=module', '-e', program], { timeout: 20_000 });
}

function changeALot(path: string): void {
  const program = new URL('./test/fake_shim', import.meta.url).pathname;
  execFileSync(program, [path], { input: 'tick 10000\n' });
}
