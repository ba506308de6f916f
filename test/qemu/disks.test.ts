// SPDX-License-Identifier: Apache-2.0
// A guest that writes to its disks and reads back what it wrote, on both buses, through the loss of one host after the
// other. What it must find it knows from its memory, which a failover keeps. In the end, at rest, both images are equal.
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Context } from 'mocha';
import { hostImage, hostOfDisks, refuseOldImages, type DiskSettings } from '../../cli/local/disks.js';
import { LocalError } from '../../cli/local/errors.js';
import type { HostLayout } from '../../cli/local/layout.js';
import { readRecord } from '../../sidecar/io/disk/record.js';
import { tellFailure } from './support/failure.js';
import { orderGuest, tellGuest } from './support/guest.js';
import { PATIENT, TestPair } from './support/pair.js';
import { until } from './support/wait.js';

const RERUN = 'npx mocha --timeout 600000 build/test/qemu/disks.test.js';
const MIB = 1024 * 1024;
const KILLS = 2;
/** Of the guest's command: the first disk on each bus. */
const WRITERS = [0, 4];
const MORE_READS = 500;
const RACED_WRITES = 100;
const FAILED_WRITES = 50;

interface Counts {
  readonly writes: number;
  readonly reads: number;
  readonly wrong: number;
  readonly failed: number;
}

describe('disks of a protected VM', function () {
  this.timeout(600_000);
  let folder = '';
  let pair: TestPair | null = null;
  let mounted: string | null = null;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lockstep-disks-'));
  });
  afterEach(async function (this: Context) {
    const { currentTest: test } = this;
    if (test?.state === 'failed' && pair !== null) await tellFailure(pair.pair.layout, test.title, RERUN);
    await pair?.down();
    pair = null;
    if (mounted !== null) execFileSync('umount', [mounted]);
    mounted = null;
    rmSync(folder, { recursive: true });
  });

  const disks = (): DiskSettings[] => [
    { image: join(folder, 'x'), bytes: 64 * MIB, bus: 'virtio-blk', sectorBytes: 512 },
    { image: join(folder, 'y'), bytes: 32 * MIB, bus: 'virtio-scsi', sectorBytes: 4096 },
  ];

  function areEqual(own: TestPair, disk: DiskSettings): boolean {
    const [a, b] = own.pair.layout.hosts.map((host) => readFileSync(hostImage(disk, host)));
    return a !== undefined && b !== undefined && a.length === disk.bytes && a.equals(b);
  }

  async function countsOf(own: TestPair, writer: number): Promise<Counts> {
    const fields = await tellGuest(own.pair.layout, `disk ${String(writer)}`);
    const [writes = 0, , reads = 0, wrong = 0, failed = 0] = fields.map(Number);
    return { writes, reads, wrong, failed };
  }

  /** The guest has gone on, and nothing that it read was other than what it wrote. */
  async function goesOn(own: TestPair, writers = WRITERS): Promise<void> {
    for (const writer of writers) {
      const before = await countsOf(own, writer);
      const now = await until('the guest to read more', 60_000, async () => {
        const counts = await countsOf(own, writer);
        return counts.reads >= before.reads + MORE_READS ? counts : undefined;
      });
      expect(now).to.include({ wrong: 0, failed: before.failed });
      expect(now.writes).to.be.greaterThan(before.writes);
    }
  }

  async function restEqual(own: TestPair): Promise<void> {
    await tellGuest(own.pair.layout, 'rest');
    for (const disk of disks()) {
      // The backup is a little behind.
      await until('equal images', 60_000, () => Promise.resolve(areEqual(own, disk) ? true : undefined));
    }
  }

  /** Were both to die now, the VM would start from one host's images only. They are told so after the fact. */
  async function isTheDisk(own: TestPair, host: HostLayout, other: HostLayout): Promise<void> {
    await until('the newest images to be known', 10_000, () =>
      Promise.resolve(hostOfDisks(own.pair)?.name === host.name ? true : undefined),
    );
    refuseOldImages(own.pair, host);
    expect(() => {
      refuseOldImages(own.pair, other);
    }).to.throw(LocalError, /is not the disk: it is older/);
  }

  async function writesMore(own: TestPair, writer: number): Promise<void> {
    const { writes } = await countsOf(own, writer);
    await until('the guest to write more', 120_000, async () =>
      (await countsOf(own, writer)).writes >= writes + RACED_WRITES ? true : undefined,
    );
  }

  it('are copied while the guest writes, are there after each failover, and equal at rest', async () => {
    const machine = { model: 'small', disks: disks(), append: 'lockstep.load=disks' } as const;
    const own = await TestPair.up('disks', { machine, sidecarOverrides: PATIENT });
    pair = own;
    await goesOn(own);
    await own.protect();
    await goesOn(own);
    for (let kill = 0; kill < KILLS; kill++) {
      const [primary, backup] = [await own.primary(), await own.backup()];
      await own.kill(primary.host);
      await own.untilLive(backup);
      await goesOn(own);
      await isTheDisk(own, backup.host, primary.host);
      await own.protect();
    }
    const last = await own.primary();
    await restEqual(own);
    for (const writer of WRITERS) expect(await countsOf(own, writer)).to.include({ wrong: 0, failed: 0 });
    await orderGuest(own.pair.layout, 'poweroff');
    await own.until('both sides to end', ({ hosts }) => hosts.every(({ sidecarPid }) => sidecarPid === null));
    for (const disk of disks()) {
      expect(areEqual(own, disk)).to.equal(true);
      expect(readRecord(hostImage(disk, last.host))).to.include({ state: 'owner', life: 1 });
    }
    const other = own.pair.layout.hosts.find(({ name }) => name !== last.host.name);
    if (other === undefined) throw new Error('a pair of one host');
    await isTheDisk(own, last.host, other);
  });

  it('are equal also when the guest changes buffers whose large writes are under way', async () => {
    const machine = { model: 'small', disks: disks(), append: 'lockstep.load=race' } as const;
    const own = await TestPair.up('disks', { machine, sidecarOverrides: PATIENT });
    pair = own;
    await own.protect();
    for (const writer of WRITERS) await writesMore(own, writer);
    await restEqual(own);
  });

  it('fail alike on both sides when the primary has no room left, and are whole where there is room', async () => {
    const [disk] = disks();
    if (disk === undefined) throw new Error('a disk');
    const small = join(folder, 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', small]);
    mounted = small;
    writeFileSync(join(small, 'x'), '');
    truncateSync(join(small, 'x'), disk.bytes);
    symlinkSync(join(small, 'x'), `${disk.image}.a`);
    const machine = { model: 'small' as const, disks: [disk], append: 'lockstep.load=disks' };
    const own = await TestPair.up('disks', { machine, sidecarOverrides: PATIENT });
    pair = own;
    await own.protect();
    const [primary, backup] = [await own.primary(), await own.backup()];
    const { failed } = await countsOf(own, 0);
    await until('writes that find no room', 120_000, async () =>
      (await countsOf(own, 0)).failed >= failed + FAILED_WRITES ? true : undefined,
    );
    await own.kill(primary.host); // the backup has seen the same errors, or it would have been barred
    await own.untilLive(backup);
    await goesOn(own, [0]);
  });
});
