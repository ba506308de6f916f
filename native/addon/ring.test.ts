// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ring, RING_BYTES_MIN, type RingSettings } from './index.js';
import { codeOf, FakeShim, ScratchFolder } from './test/fake-shim.js';

const SMALL = RING_BYTES_MIN;

function settings(change: Partial<RingSettings> = {}): RingSettings {
  return { ringBytes: SMALL, start: 'replay', beatTimeoutMs: 250, quiesceMsMax: 500, ...change };
}

describe('ring', function () {
  this.timeout(20_000);
  const scratch = new ScratchFolder();
  const rings: Ring[] = [];
  const shims: FakeShim[] = [];
  let serial = 0;

  function create(change: Partial<RingSettings> = {}): { ring: Ring; path: string } {
    const path = scratch.file(`ring-${serial++}`);
    const ring = Ring.create(path, settings(change));
    rings.push(ring);
    return { ring, path };
  }

  function play(path: string): FakeShim {
    const shim = new FakeShim(path);
    shims.push(shim);
    return shim;
  }

  afterEach(async () => {
    for (const ring of rings.splice(0)) ring.close();
    for (const shim of shims.splice(0)) await shim.kill();
  });

  after(() => {
    scratch.remove();
  });

  describe('create and open', () => {
    it('fills the control page before anyone can see it', () => {
      const { ring, path } = create({ start: 'record' });
      const seen = Ring.open(path, { readOnly: true });
      rings.push(seen);
      expect(seen.snapshot()).to.include({
        start: 'record',
        ringBytes: SMALL,
        beatTimeoutMs: 250,
        quiesceMsMax: 500,
        state: 'none',
        errorName: 'OK',
        produced: 0,
        cloneState: 'none',
        retain: false,
      });
      expect(seen.ringBytes).to.equal(ring.ringBytes);
    });

    it('takes all its pages at once, so that a full file system is found out here', () => {
      const { path } = create();
      expect(statSync(path).blocks * 512).to.be.at.least(SMALL);
    });

    it('refuses a file that is there, and leaves it alone', () => {
      const path = scratch.file('taken');
      writeFileSync(path, 'mine');
      expect(codeOf(() => Ring.create(path, settings()))).to.equal('RING_EXISTS');
      expect(readFileSync(path, 'utf8')).to.equal('mine');
    });

    it('says RING_NO_SPACE on a file system that is too small, and leaves nothing behind', () => {
      const folder = scratch.file('small');
      mkdirSync(folder);
      expect(createOnSmallFileSystem(folder)).to.deep.equal({ code: 'RING_NO_SPACE', left: 0 });
    });

    it('names what is missing or wrong', () => {
      expect(codeOf(() => Ring.open(scratch.file('none'), { readOnly: false }))).to.equal('RING_MISSING');
      expect(codeOf(() => Ring.create('/nonexistent/ring', settings()))).to.equal('RING_MISSING');
      expect(codeOf(() => Ring.open(scratch.path, { readOnly: true }))).to.equal('RING_CONTRACT');
      const path = scratch.file('garbage');
      writeFileSync(path, Buffer.alloc(4096 + SMALL));
      expect(codeOf(() => Ring.open(path, { readOnly: true }))).to.equal('RING_CONTRACT');
      truncateSync(path, 100);
      expect(codeOf(() => Ring.open(path, { readOnly: true }))).to.equal('RING_CONTRACT');
    });

    it('refuses another contract version, and a size that the file does not have', async () => {
      const { path } = create();
      const shim = play(path);
      await shim.set('contract_version', 2);
      expect(codeOf(() => Ring.open(path, { readOnly: false }))).to.equal('RING_CONTRACT');
      await shim.set('contract_version', 1);
      await shim.set('ring_bytes', SMALL * 2);
      expect(codeOf(() => Ring.open(path, { readOnly: false }))).to.equal('RING_CONTRACT');
    });

    it('refuses nonsense', () => {
      const path = scratch.file('never');
      for (const wrong of [
        { ringBytes: SMALL - 1 },
        { ringBytes: SMALL + 4096 },
        { ringBytes: 2 ** 31 },
        { ringBytes: Number.NaN },
        { beatTimeoutMs: -1 },
        { quiesceMsMax: 1.5 },
      ])
        expect(codeOf(() => Ring.create(path, settings(wrong)))).to.equal('INVALID_ARGUMENT');
      expect(codeOf(() => Ring.create('', settings()))).to.equal('INVALID_ARGUMENT');
      expect(codeOf(() => Ring.create('a\0b', settings()))).to.equal('INVALID_ARGUMENT');
    });
  });

  describe('close', () => {
    it('may be called twice; all else throws RING_CLOSED', () => {
      const { ring } = create();
      ring.close();
      ring.close();
      for (const call of [
        () => ring.produced,
        () => ring.consumed,
        () => ring.netLogged,
        () => ring.state,
        () => ring.room,
        () => ring.snapshot(),
        () => ring.view(0, 0),
        () => ring.append(Buffer.of(1)),
        () => {
          ring.begin(0);
        },
        () => {
          ring.reclaim(0);
        },
        () => {
          ring.setRetain(true);
        },
        () => {
          ring.setPace(1);
        },
        () => {
          ring.promote();
        },
        () => {
          ring.kill();
        },
        () => {
          ring.beat();
        },
        () => {
          ring.watch({ minIntervalUs: 0 }, () => undefined);
        },
      ])
        expect(codeOf(call)).to.equal('RING_CLOSED');
      expect(ring.closed).to.be.true;
    });

    it('empties the views instead of letting them point at nothing', () => {
      const { ring } = create();
      ring.append(Buffer.from('abc'));
      const view = ring.view(0, 3);
      expect(view.toString()).to.equal('abc');
      ring.close();
      expect(view).to.have.length(0);
    });

    it('leaves other openings of the same file as they are', () => {
      const { ring, path } = create();
      const other = Ring.open(path, { readOnly: false });
      rings.push(other);
      ring.append(Buffer.from('abc'));
      ring.close();
      expect(other.view(0, 3).toString()).to.equal('abc');
    });
  });

  it('opened for reading only refuses every write', () => {
    const { path } = create();
    const ring = Ring.open(path, { readOnly: true });
    rings.push(ring);
    for (const call of [
      () => ring.append(Buffer.of(1)),
      () => {
        ring.beat();
      },
      () => {
        ring.kill();
      },
      () => {
        ring.setPace(0);
      },
      () => {
        ring.watch({ minIntervalUs: 0 }, () => undefined);
      },
    ])
      expect(codeOf(call)).to.equal('RING_READ_ONLY');
    expect(ring.snapshot().kill).to.be.false;
  });

  describe('the backup fills it', () => {
    it('begins at a clone position and wraps without a seam', async () => {
      const { ring, path } = create();
      const shim = play(path);
      const begin = 7 * SMALL - 5;
      ring.begin(begin);
      expect(ring.room).to.equal(SMALL);
      expect(ring.append(Buffer.from('0123456789'))).to.equal(begin + 10);
      expect(ring.view(begin, begin + 10).toString()).to.equal('0123456789');
      expect((await shim.read(begin, 10)).toString()).to.equal('0123456789');
      expect(ring.snapshot()).to.include({ produced: begin + 10, reclaimed: begin });
    });

    it('is full when QEMU has not consumed, whole appends or none', async () => {
      const { ring, path } = create();
      const shim = play(path);
      await shim.set('state', 3);
      ring.append(Buffer.alloc(SMALL - 2, 1));
      expect(codeOf(() => ring.append(Buffer.of(1, 1, 1)))).to.equal('RING_FULL');
      expect(ring.produced).to.equal(SMALL - 2);
      ring.append(Buffer.of(1, 1));
      expect(ring.room).to.equal(0);
      expect(codeOf(() => ring.append(Buffer.of(1)))).to.equal('RING_FULL');
      await shim.tell('consume');
      expect(ring.consumed).to.equal(SMALL);
      expect(ring.append(Buffer.of(1))).to.equal(SMALL + 1);
    });

    it('takes nothing after promotion, in record mode, or when QEMU is live or failed', async () => {
      const { ring, path } = create();
      const shim = play(path);
      for (const state of [1, 4, 5]) {
        await shim.set('state', state);
        expect(codeOf(() => ring.append(Buffer.of(1)))).to.equal('RING_NOT_PRODUCER');
      }
      await shim.set('state', 3);
      ring.append(Buffer.of(1));
      ring.promote();
      expect(codeOf(() => ring.append(Buffer.of(1)))).to.equal('RING_NOT_PRODUCER');
      const recording = create({ start: 'record' }).ring;
      expect(codeOf(() => recording.append(Buffer.of(1)))).to.equal('RING_NOT_PRODUCER');
    });

    it('cannot begin a second time once there is log', () => {
      const { ring } = create();
      ring.begin(100);
      ring.begin(200);
      ring.append(Buffer.of(1));
      expect(
        codeOf(() => {
          ring.begin(300);
        }),
      ).to.equal('RING_NOT_PRODUCER');
    });

    it('wakes a QEMU that sleeps', async () => {
      const { ring, path } = create();
      const shim = play(path);
      const woken = shim.tell('wait produced 3');
      await sleeper(play(path));
      ring.append(Buffer.from('abc'));
      await woken;
    });
  });

  describe('the primary reads it', () => {
    it('sees what QEMU produced, without a copy, up to the size of the ring back', async () => {
      const { ring, path } = create({ start: 'record' });
      const shim = play(path);
      await shim.set('state', 1);
      await shim.tell(`fill ${SMALL - 3}`);
      await shim.produce(Buffer.from('abcdef'));
      expect(ring.produced).to.equal(SMALL + 3);
      expect(ring.view(SMALL - 3, SMALL + 3).toString()).to.equal('abcdef');
      expect(ring.view(3, SMALL + 3)).to.have.length(SMALL);
      expect(codeOf(() => ring.view(2, 4))).to.equal('RING_LOG_LOST');
      expect(codeOf(() => ring.view(3, SMALL + 4))).to.equal('RING_RANGE');
      expect(codeOf(() => ring.view(5, 4))).to.equal('INVALID_ARGUMENT');
      expect(ring.holds(3)).to.be.true;
      expect(ring.holds(2)).to.be.false;
      const view = ring.view(SMALL, SMALL + 1);
      await shim.tell('fill 1048576');
      expect(view[0]).to.equal(1);
    });

    it('gives room back to a QEMU that retains', async () => {
      const { ring, path } = create({ start: 'record' });
      const shim = play(path);
      ring.setRetain(true);
      await shim.tell(`fill ${SMALL}`);
      const more = shim.produce(Buffer.of(1, 1));
      await sleeper(play(path));
      expect(ring.produced).to.equal(SMALL);
      ring.reclaim(2);
      expect(await more).to.equal(SMALL + 2);
      ring.reclaim(1);
      expect(ring.snapshot()).to.include({ reclaimed: 2, ringWaits: 1, retain: true });
      expect(
        codeOf(() => {
          ring.reclaim(SMALL + 3);
        }),
      ).to.equal('RING_RANGE');
      ring.setRetain(false);
      await shim.tell(`fill ${SMALL}`);
    });
  });

  it('carries every field both ways', async () => {
    const { ring, path } = create({ start: 'record' });
    const shim = play(path);
    const written = {
      qemu_pid: 4321,
      log_version: 0xe0200c,
      state: 4,
      error_code: 6,
      error_lsn: 77,
      consumed: 11,
      live_lsn: 12,
      live_time_ns: 2n ** 60n,
      net_frames: 13,
      clone_attempt: 14,
      clone_state: 2,
      clone_lsn: 15,
      clone_frames: 16,
      qemu_beat: 17,
      icount: 2n ** 63n,
      ring_waits: 18,
      held_ms: 19,
      clone_pause_us: 20,
      net_logged: 21,
    };
    for (const [field, value] of Object.entries(written)) await shim.set(field, value);
    await shim.tell('text qemu_version 10.0.2 (Debian)');
    await shim.tell('text error_text a sentence');
    ring.setPace(999);
    ring.beat();
    ring.beat();
    ring.kill();
    expect(ring.snapshot()).to.deep.include({
      qemuPid: 4321,
      logVersion: 0xe0200c,
      qemuVersion: '10.0.2 (Debian)',
      state: 'live',
      errorCode: 6,
      errorName: 'EVENT_LENGTH',
      errorLsn: 77,
      errorText: 'a sentence',
      consumed: 11,
      liveLsn: 12,
      liveTimeNs: 2n ** 60n,
      netFrames: 13,
      cloneState: 'point',
      cloneAttempt: 14,
      cloneLsn: 15,
      cloneFrames: 16,
      qemuBeat: 17,
      icount: 2n ** 63n,
      ringWaits: 18,
      heldMs: 19,
      clonePauseUs: 20,
      netLogged: 21,
      pacePermille: 999,
      sidecarBeat: 2,
      kill: true,
    });
    expect(ring.netLogged).to.equal(21);
    expect(await shim.get('pace_permille')).to.equal(999);
    expect(await shim.get('kill')).to.equal(1);
    expect(
      codeOf(() => {
        ring.setPace(1001);
      }),
    ).to.equal('INVALID_ARGUMENT');
  });

  it('says RING_CORRUPT for what cannot be, and survives texts without an end', async () => {
    const { ring, path } = create();
    const shim = play(path);
    await shim.set('state', 99);
    expect(codeOf(() => ring.state)).to.equal('RING_CORRUPT');
    expect(codeOf(() => ring.snapshot())).to.equal('RING_CORRUPT');
    await shim.set('state', 3);
    await shim.set('consumed', 2n ** 63n);
    expect(codeOf(() => ring.consumed)).to.equal('RING_CORRUPT');
    expect(ring.room).to.equal(0);
    await shim.set('consumed', 0);
    await shim.tell(`text qemu_version ${'v'.repeat(200)}`);
    expect(ring.snapshot().qemuVersion).to.equal('v'.repeat(64));
  });

  it('behaves as a plain list of bytes does (model)', async () => {
    const { ring, path } = create();
    const shim = play(path);
    await shim.set('state', 3);
    let head = 0;
    let consumed = 0;
    const append = fc.record({
      kind: fc.constant('append' as const),
      bytes: fc.integer({ min: 0, max: SMALL / 2 }),
      fill: fc.nat(255),
    });
    const consume = fc.record({
      kind: fc.constant('consume' as const),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    const read = fc.record({
      kind: fc.constant('read' as const),
      from: fc.double({ min: 0, max: 1, noNaN: true }),
      to: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    // The newest bytes, as far back as the ring goes.
    let window = Buffer.alloc(0);
    const steps = fc.array(fc.oneof(append, consume, read), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        for (const step of all) {
          if (step.kind === 'append') {
            const bytes = Buffer.alloc(step.bytes, step.fill);
            const fits = step.bytes <= SMALL - (head - consumed);
            expect(ring.room).to.equal(SMALL - (head - consumed));
            expect(codeOf(() => ring.append(bytes))).to.equal(fits ? 'no error' : 'RING_FULL');
            if (!fits) continue;
            head += step.bytes;
            window = Buffer.concat([window, bytes]).subarray(-SMALL);
          } else if (step.kind === 'consume') {
            consumed += Math.floor((head - consumed) * step.share);
            await shim.set('consumed', consumed);
          } else {
            const oldest = head - window.length;
            const [from, to] = [step.from, step.to]
              .map((share) => oldest + Math.floor(window.length * share))
              .sort((a, b) => a - b) as [number, number];
            expect(ring.view(from, to).equals(window.subarray(from - oldest, to - oldest))).to.be.true;
          }
          expect(ring.produced).to.equal(head);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('gives everything back: 300 rings opened, mapped and closed leave memory and descriptors as they were', async () => {
    const { ring, path } = create({ ringBytes: 4 * SMALL });
    ring.append(Buffer.alloc(4 * SMALL, 1));
    // Node frees the memory of a detached buffer on its next turn.
    const cycle = async (): Promise<void> => {
      const again = Ring.open(path, { readOnly: false });
      expect(again.view(0, 4 * SMALL).readUInt8(4 * SMALL - 1)).to.equal(1);
      again.close();
      await new Promise((resolve) => setImmediate(resolve));
    };
    for (let i = 0; i < 20; i++) await cycle();
    const before = { ...resources(), ofRing: mappingsOf(path) };
    const rings = 300;
    for (let i = 0; i < rings; i++) await cycle();
    const after = { ...resources(), ofRing: mappingsOf(path) };
    expect(before.ofRing).to.be.above(0);
    expect(after.ofRing).to.equal(before.ofRing);
    expect(after.descriptors).to.equal(before.descriptors);
    // Node and a sanitizer map some of their own meanwhile (33 seen); a ring that keeps its own would make as many as rings.
    expect(after.mappings).to.be.below(before.mappings + rings / 2);
    expect(after.virtualBytes - before.virtualBytes).to.be.below(64 * SMALL);
  });
});

const mapped = (): string[] => readFileSync('/proc/self/maps', 'utf8').split('\n');
const mappingsOf = (path: string): number => mapped().filter((line) => line.endsWith(path)).length;

/** Resolves once a fake shim sleeps until the sidecar does something; another one looks. */
async function sleeper(looker: FakeShim): Promise<void> {
  while ((await looker.get('to_qemu_waiters')) === 0);
}

/** In a mount namespace of its own, with half of the room that the smallest ring takes. */
function createOnSmallFileSystem(folder: string): unknown {
  const index = new URL('./index.js', import.meta.url).href;
  const program = `
    import { readdirSync } from 'node:fs';
    const { Ring } = await import(${JSON.stringify(index)});
    let code = 'no error';
    try {
      Ring.create(${JSON.stringify(join(folder, 'ring'))}, ${JSON.stringify(settings())});
    } catch (error) { code = error.code; }
    console.log(JSON.stringify({ code, left: readdirSync(${JSON.stringify(folder)}).length }));`;
  const script = 'mount -t tmpfs -o size=512k tmpfs "$0" && exec "$1" --input-type=module -e "$2"';
  const output = execFileSync('unshare', ['--mount', 'sh', '-c', script, folder, process.execPath, program]);
  return JSON.parse(output.toString());
}

function resources(): { descriptors: number; mappings: number; virtualBytes: number } {
  const pages = Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[0]);
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    mappings: mapped().length,
    virtualBytes: pages * 4096,
  };
}
