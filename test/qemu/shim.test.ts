// SPDX-License-Identifier: Apache-2.0
// The shim in a real QEMU with KubeVirt's device set: clone, crash, go live, clone again. The log is cut at a
// random byte each time, as a crash cuts it: the backup must go on from the last whole event.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { EVENT_BYTES_MAX } from '../../native/addon/index.js';
import { LoneQemu, until } from './lone-qemu.js';

const CYCLES = Number(process.env['LOCKSTEP_SHIM_CYCLES'] ?? 4);
const SEED = Number(process.env['LOCKSTEP_SHIM_SEED'] ?? 1);
const POLL_MS = 20;
const CUT_BYTES_MAX = 3_000;
const RUN_BYTES = 5_000;
const COPY_BYTES_MAX = 1024 * 1024;
/** Firmware and kernel up to the first process; with a turn for each PAUSE it was 38 MB. */
const BOOT_LOG_BYTES_MAX = 1024 * 1024;

/** mulberry32: small, seeded, good enough to choose where to cut. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Copies the source's log to the backup as it grows, all but the last `withheldBytes`. */
class Follower {
  #position: number;
  withheldBytes = 0;

  constructor(
    private readonly source: LoneQemu,
    private readonly backup: LoneQemu,
    cloneLsn: number,
  ) {
    this.#position = cloneLsn;
    backup.ring.begin(cloneLsn);
    source.ring.watch({ minIntervalUs: 500 }, () => this.#copy());
  }

  #copy(): void {
    const end = this.source.ring.produced - this.withheldBytes;
    while (this.#position < end) {
      const to = Math.min(end, this.#position + COPY_BYTES_MAX);
      this.backup.ring.append(this.source.ring.view(this.#position, to));
      this.source.ring.reclaim(to);
      this.#position = to;
    }
  }

  /** The last that the backup gets. Returns the position behind it. */
  finish(): number {
    this.source.ring.unwatch();
    this.#copy();
    return this.#position;
  }
}

async function migrate(source: LoneQemu, backup: LoneQemu): Promise<void> {
  const uri = `unix:${join(backup.folder, 'migration')}`;
  await backup.qmp.execute('migrate-set-parameters', { 'announce-rounds': 0 });
  await backup.qmp.execute('migrate-incoming', { uri });
  const capabilities = [{ capability: 'background-snapshot', state: true }];
  await source.qmp.execute('migrate-set-capabilities', { capabilities });
  await source.qmp.execute('migrate', { uri });
}

async function clone(source: LoneQemu, backup: LoneQemu): Promise<Follower> {
  const before = source.ring.snapshot().cloneAttempt;
  await migrate(source, backup);
  await until(() => {
    const now = source.ring.snapshot();
    return now.cloneAttempt !== before && now.cloneState === 'point';
  }, 'the clone point');
  const follower = new Follower(source, backup, source.ring.snapshot().cloneLsn);
  await until(() => backup.ring.state === 'replaying', 'the load');
  return follower;
}

async function migrationIs(source: LoneQemu, wanted: string): Promise<void> {
  let status = '';
  while (status !== wanted) {
    ({ status } = (await source.qmp.execute('query-migrate')) as { status: string });
    expect(['setup', 'active', wanted]).to.include(status);
    await sleep(POLL_MS);
  }
}

async function catchUp(source: LoneQemu, backup: LoneQemu): Promise<void> {
  const goal = source.ring.produced + RUN_BYTES;
  await until(() => backup.ring.consumed >= goal || backup.ring.state === 'failed', 'the backup to catch up');
  expect(backup.ring.snapshot().errorText).to.equal('');
}

const ticks = (serial: string): number[] =>
  [...serial.matchAll(/tick (\d+) up=[\d.]+ rnd=[0-9a-f]{16}\r?\n/gi)].map((match) => Number(match[1]));

function expectConsecutive(numbers: readonly number[]): void {
  numbers.forEach((n, i) => expect(n).to.equal((numbers[0] ?? 0) + i));
}

describe('the shim in a real QEMU', function () {
  let folder = '';
  const qemus: LoneQemu[] = [];

  const start = async (mode: 'record' | 'replay', refuses?: string): Promise<LoneQemu> => {
    const own = join(folder, String(qemus.length));
    mkdirSync(own);
    const qemu = await LoneQemu.start(own, mode, refuses);
    qemus.push(qemu);
    return qemu;
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lockstep-shim-'));
  });

  afterEach(async function () {
    await Promise.all(qemus.splice(0).map((qemu) => qemu.end()));
    if (this.currentTest?.state === 'failed')
      console.error(`kept in ${folder}; again: LOCKSTEP_SHIM_SEED=${SEED} npm run test:qemu`);
    else rmSync(folder, { recursive: true });
  });

  it(`goes live from a log cut anywhere, ${CYCLES} times in a row`, async function () {
    this.timeout(60_000 + CYCLES * 60_000);
    const random = randomFrom(SEED);
    let primary = await start('record');
    await until(() => primary.serial().includes('tick 3 '), 'the guest to boot');
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      const backup = await start('replay');
      const follower = await clone(primary, backup);
      follower.withheldBytes = Math.floor(random() * CUT_BYTES_MAX);
      await catchUp(primary, backup);
      await primary.crash();
      const end = follower.finish();
      const replayed = backup.serial();
      backup.ring.promote();
      await until(() => backup.ring.state === 'live', 'go live');
      const { liveLsn, produced, ringWaits } = backup.ring.snapshot();
      expect(liveLsn).to.be.within(end - EVENT_BYTES_MAX, end);
      expect(produced).to.be.at.least(liveLsn);
      expect(ringWaits).to.equal(0);
      expect(primary.serial()).to.include(replayed);
      const seen = ticks(backup.serial()).length;
      await until(() => ticks(backup.serial()).length >= seen + 3, 'the guest to go on');
      expectConsecutive(ticks(backup.serial()));
      await primary.end();
      primary = backup;
    }
  });

  it('logs a boot, with the spin-waits of its firmware, in little', async function () {
    this.timeout(60_000);
    const primary = await start('record');
    await until(() => primary.serial().includes('BOOTED'), 'the guest to boot');
    expect(primary.ring.produced).to.be.below(BOOT_LOG_BYTES_MAX);
  });

  it('halts on a corrupt log, by name, and the primary goes on', async function () {
    this.timeout(120_000);
    const primary = await start('record');
    await until(() => primary.serial().includes('tick 3 '), 'the guest to boot');
    const backup = await start('replay');
    const follower = await clone(primary, backup);
    follower.finish();
    primary.ring.setRetain(false);
    backup.ring.append(Buffer.from([0xc8]));
    await until(() => backup.ring.state === 'failed', 'the backup to halt');
    const { errorName, errorLsn, errorText } = backup.ring.snapshot();
    expect(errorName).to.equal('EVENT_KIND');
    expect(errorLsn).to.equal(backup.ring.produced - 1);
    expect(errorText).to.include('corrupt log');
    expect(backup.hasExited).to.equal(false);
    const seen = ticks(primary.serial()).length;
    await until(() => ticks(primary.serial()).length > seen, 'the primary to go on');
    backup.ring.kill();
    await until(() => backup.hasExited, 'kill to be obeyed');
  });

  it('a clone whose memory cannot be write-protected fails alone, and the next one works', async function () {
    this.timeout(180_000);
    const refuses = join(folder, 'refuses');
    const primary = await start('record', refuses);
    await until(() => primary.serial().includes('tick 3 '), 'the guest to boot');
    writeFileSync(refuses, '');
    const failing = await start('replay');
    await migrate(primary, failing);
    await migrationIs(primary, 'failed');
    primary.ring.setRetain(false);
    rmSync(refuses);
    const seen = ticks(primary.serial()).length;
    await until(() => ticks(primary.serial()).length >= seen + 3, 'the guest to go on');
    await failing.end();
    const backup = await start('replay');
    await clone(primary, backup);
    await catchUp(primary, backup);
    await migrationIs(primary, 'completed');
  });
});
