// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EVENT_BYTES_MAX, Ring, RING_BYTES_MIN } from '../../../native/addon/index.js';
import { codeOf, FakeShim } from '../../../native/addon/test/fake-shim.js';
import {
  ALL_EVENTS,
  describeEvent,
  describePacket,
  describeSummary,
  diffLogs,
  eventToJson,
  events,
  LogError,
  openLog,
  parseKinds,
  summarize,
  type LogEvent,
  type LogSource,
} from './index.js';

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, value));
  return bytes;
}

const instructions = (count: number): Buffer => Buffer.concat([Buffer.of(0), u32(count)]);
const clock = (ns: bigint): Buffer => Buffer.concat([Buffer.of(28), u64(ns)]);
const net = (packet: Buffer): Buffer => Buffer.concat([Buffer.of(9, 0), u32(0), u32(packet.length), packet]);
const random = (bytes: Buffer): Buffer => Buffer.concat([Buffer.of(27), u32(0), u32(bytes.length), bytes]);
const bare = (kind: number): Buffer => Buffer.of(kind);

const VERSION = Buffer.concat([u32(0xe0200c), Buffer.alloc(8)]);
const PING = Buffer.from(
  '020000000002020000000001080045000054abcd40004001' + '00000a6300010a6300020800' + '0000'.repeat(31),
  'hex',
);

/** Any events, as bytes. */
const anyEvent = fc.oneof(
  fc.integer({ min: 1, max: 0x7fffffff }).map(instructions),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(clock),
  fc.uint8Array({ maxLength: 100 }).map((bytes) => net(Buffer.from(bytes))),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => random(Buffer.from(bytes))),
  fc.constantFrom(1, 2, 6, 30, 31, 34, 37, 39).map(bare),
);

describe('log', function () {
  this.timeout(20_000);
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-log-'));
  const sources: LogSource[] = [];
  let serial = 0;

  afterEach(() => {
    for (const source of sources.splice(0)) source.close();
  });

  after(() => {
    rmSync(folder, { recursive: true });
  });

  function file(...parts: Buffer[]): string {
    const path = join(folder, `log-${serial++}`);
    writeFileSync(path, Buffer.concat(parts));
    return path;
  }

  function open(path: string, baseLsn: number | null = null): LogSource {
    const source = openLog(path, { baseLsn });
    sources.push(source);
    return source;
  }

  function all(source: LogSource, filter: Partial<typeof ALL_EVENTS> = {}): LogEvent[] {
    return [...events(source, { ...ALL_EVENTS, ...filter })];
  }

  describe('events', () => {
    it('come with position, name, payload and the instructions so far', () => {
      const source = open(file(VERSION, instructions(100), bare(1), instructions(50), clock(-1n), net(PING)));
      expect(
        all(source).map(({ lsn, length, name, instructions }) => [lsn, length, name, instructions]),
      ).to.deep.equal([
        [12, 5, 'instructions', 100n],
        [17, 1, 'interrupt', 100n],
        [18, 5, 'instructions', 150n],
        [23, 9, 'clock-host', 150n],
        [32, 10 + PING.length, 'net', 150n],
      ]);
      expect(all(source)[3]?.fields).to.deep.equal([['ns', -1n]]);
      expect(all(source)[4]?.fields[2]).to.deep.equal(['packet', PING]);
    });

    it('are filtered by kind and position', () => {
      const source = open(file(VERSION, instructions(1), bare(1), bare(2), instructions(1), bare(1)));
      const lsns = (filter: Partial<typeof ALL_EVENTS>): number[] =>
        all(source, filter).map(({ lsn }) => lsn);
      expect(lsns({ kinds: parseKinds('interrupt') })).to.deep.equal([17, 24]);
      expect(lsns({ from: 18, to: 24 })).to.deep.equal([18, 19]);
      expect(lsns({ from: 18, to: 18 })).to.deep.equal([]);
      expect(all(source, { from: 19 })[0]?.instructions).to.equal(2n);
    });

    it('are the same however they fall on the windows that are read', () => {
      const large = random(Buffer.alloc(200_000, 7));
      const parts = Array.from({ length: 20 }, (_, i) => [large, instructions(i + 1), bare(1)]).flat();
      const source = open(file(VERSION, ...parts));
      const seen = all(source);
      expect(seen).to.have.length(60);
      expect(seen.at(-1)?.instructions).to.equal(210n);
      let lsn = 12;
      for (const event of seen) {
        expect(event.lsn).to.equal(lsn);
        lsn += event.length;
      }
    });

    it('end where the last whole one does', () => {
      const source = open(file(VERSION, bare(1), net(PING).subarray(0, 30)));
      expect(summarize(source)).to.include({ events: 1, end: 13, incompleteBytes: 30, fault: null });
    });

    it('of a log whose QEMU was killed are read as well: its header is zeros', () => {
      expect(all(open(file(Buffer.alloc(12), bare(1))))).to.have.length(1);
      expect(all(open(file(Buffer.alloc(12))))).to.have.length(0);
      expect(all(open(file(Buffer.alloc(4))))).to.have.length(0);
    });

    it('of a piece of a log have the positions that one says', () => {
      expect(all(open(file(bare(1), bare(2)), 5000)).map(({ lsn }) => lsn)).to.deep.equal([5000, 5001]);
    });
  });

  describe('of a ring', () => {
    const shims: FakeShim[] = [];
    const rings: Ring[] = [];

    afterEach(async () => {
      for (const ring of rings.splice(0)) ring.close();
      for (const shim of shims.splice(0)) await shim.kill();
    });

    function ringFile(start: 'record' | 'replay'): { ring: Ring; shim: FakeShim; path: string } {
      const path = join(folder, `ring-${serial++}`);
      const ring = Ring.create(path, { ringBytes: RING_BYTES_MIN, start, beatTimeoutMs: 0, quiesceMsMax: 0 });
      const shim = new FakeShim(path);
      rings.push(ring);
      shims.push(shim);
      return { ring, shim, path };
    }

    it('begins at the header while QEMU has not gone round', async () => {
      const { shim, path } = ringFile('record');
      await shim.set('state', 1);
      await shim.set('produced', 12);
      await shim.produce(Buffer.concat([instructions(5), bare(1)]));
      const source = open(path);
      expect(source).to.include({ begin: 12, beginKnown: true, end: 18 });
      expect(all(source).map(({ name }) => name)).to.deep.equal(['instructions', 'interrupt']);
    });

    it('begins at the clone position on a backup', () => {
      const { ring, path } = ringFile('replay');
      ring.begin(10_000_000);
      ring.append(Buffer.concat([instructions(5), bare(1)]));
      expect(open(path)).to.include({ begin: 10_000_000, beginKnown: true, end: 10_000_006 });
    });

    it('is empty before anything was written', () => {
      expect(all(open(ringFile('record').path))).to.deep.equal([]);
      expect(all(open(ringFile('replay').path))).to.deep.equal([]);
    });

    it('begins where events can be read from, once QEMU has gone round', async () => {
      const { shim, path } = ringFile('record');
      await shim.set('state', 1);
      await shim.set('produced', 12);
      const turn = Buffer.concat([
        ...Array.from({ length: 100 }, (_, i) => instructions(i + 1000)),
        net(PING),
        clock(1n),
      ]);
      const many = Buffer.concat(Array.from({ length: 600 }, () => turn));
      for (let i = 0; i < 4; i++) await shim.produce(many);
      const source = open(path);
      expect(source.beginKnown).to.be.false;
      expect(source.begin - (source.end - RING_BYTES_MIN)).to.be.below(turn.length + EVENT_BYTES_MAX);
      const seen = summarize(source);
      expect(seen.fault).to.equal(null);
      expect(seen.incompleteBytes).to.equal(0);
      expect(seen.kinds.map(({ name }) => name)).to.include.members(['instructions', 'net', 'clock-host']);
    });

    it('is shown as it was when it was opened, whatever QEMU overwrites meanwhile', async () => {
      const { shim, path } = ringFile('record');
      await shim.set('state', 1);
      await shim.set('produced', 12);
      await shim.produce(Buffer.concat([instructions(5), bare(1)]));
      const source = open(path);
      await shim.tell(`fill ${RING_BYTES_MIN}`);
      expect(all(source).map(({ name }) => name)).to.deep.equal(['instructions', 'interrupt']);
    });

    it('of a VM that has taken over begins where that was, not where nothing was ever written', async () => {
      for (const clone of [1_000, 10_000_000]) {
        const { ring, shim, path } = ringFile('replay');
        ring.begin(clone);
        ring.append(Buffer.concat([instructions(5), bare(1)]));
        await shim.set('live_lsn', clone + 6);
        await shim.set('state', 4);
        await shim.produce(Buffer.concat([instructions(7), bare(1)]));
        expect(open(path)).to.include({ begin: clone, beginKnown: true, end: clone + 12 });
        ring.reclaim(clone + 11);
        const source = open(path);
        expect(source).to.include({ begin: clone + 6, beginKnown: true, end: clone + 12 });
        expect(all(source).map(({ name }) => name)).to.deep.equal(['instructions', 'interrupt']);
      }
    });
  });

  describe('faults', () => {
    it('name the position and the reason', () => {
      for (const [bytes, code] of [
        [bare(200), 'EVENT_KIND'],
        [Buffer.concat([Buffer.of(9, 0), u32(0), u32(0x7fffffff)]), 'EVENT_LENGTH'],
        [instructions(0), 'EVENT_FIELD'],
      ] as const) {
        const source = open(file(VERSION, bare(1), bytes, bare(1)));
        let caught: unknown = null;
        try {
          all(source);
        } catch (error) {
          caught = error;
        }
        expect(caught).to.be.instanceOf(LogError).with.property('code', code);
        expect(caught).to.have.property('lsn', 13);
        expect(String(caught)).to.include('position 13');
        expect(summarize(source)).to.include({ events: 1, end: 13 });
        expect(summarize(source).fault?.code).to.equal(code);
      }
    });

    it('of files: not a log, not there, a broken ring', () => {
      expect(codeOf(() => open(file(Buffer.from('#!/bin/sh'))))).to.equal('LOG_VERSION');
      expect(codeOf(() => open(file(u32(0xe0200b))))).to.equal('LOG_VERSION');
      expect(codeOf(() => open(file()))).to.equal('LOG_VERSION');
      expect(codeOf(() => open(join(folder, 'nothing')))).to.equal('LOG_READ');
      expect(codeOf(() => open(folder))).to.equal('LOG_READ');
      expect(codeOf(() => open(file(Buffer.from('LKSIFTL1'))))).to.equal('RING_CONTRACT');
    });

    it('of kinds that are none', () => {
      expect(codeOf(() => parseKinds('net,nonsense'))).to.equal('LOG_NO_SUCH_KIND');
      expect(codeOf(() => parseKinds(''))).to.equal('LOG_NO_SUCH_KIND');
      expect([...parseKinds('clock, net')]).to.deep.equal(['clock-host', 'clock-virtual-rt', 'net']);
    });

    it('whatever the bytes: a named error with its position, or events that add up (fuzz)', () => {
      const garbage = fc.oneof(
        fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes)),
        fc
          .array(
            fc.oneof(
              { weight: 9, arbitrary: anyEvent },
              fc.uint8Array({ maxLength: 9 }).map((b) => Buffer.from(b)),
            ),
          )
          .map((parts) => Buffer.concat(parts)),
      );
      fc.assert(
        fc.property(garbage, (bytes) => {
          const source = openLog(file(VERSION, bytes), { baseLsn: null });
          try {
            const seen = all(source);
            for (const event of seen) describeEvent(event);
            const covered = seen.reduce((sum, event) => sum + event.length, 0);
            const rest = bytes.length - covered;
            expect(rest).to.be.within(0, EVENT_BYTES_MAX);
          } catch (error) {
            if (!(error instanceof LogError)) throw error;
            expect(error.code).to.match(/^EVENT_/);
            expect(error.lsn).to.be.within(12, 12 + bytes.length);
          } finally {
            source.close();
          }
          describeSummary(summarize(open(file(VERSION, bytes))));
          for (const source of sources.splice(0)) source.close();
        }),
        { numRuns: 300 },
      );
    });

    it('never make it read a log into memory: 200 MB of it take a window', function () {
      this.timeout(30_000);
      const path = file(VERSION);
      const part = Buffer.concat(Array.from({ length: 80_000 }, (_, i) => net(Buffer.alloc(i % 60, 1))));
      for (let bytes = 0; bytes < 200e6; bytes += part.length) appendFileSync(path, part);
      const source = open(path);
      const before = process.memoryUsage();
      const summary = summarize(source);
      const after = process.memoryUsage();
      expect(summary.fault).to.equal(null);
      expect(summary.end).to.equal(source.end);
      expect(after.external + after.arrayBuffers - before.external - before.arrayBuffers).to.be.below(50e6);
    });
  });

  describe('diff', () => {
    const common = [instructions(10), clock(1n), bare(1), instructions(20), bare(1)];

    it('says same for the part that both hold', () => {
      const left = open(file(VERSION, ...common, bare(2)));
      const right = open(file(VERSION, ...common));
      expect(diffLogs(left, right)).to.deep.equal({ kind: 'same', from: 12, to: right.end });
    });

    it('shows the first event that is another, and those before it', () => {
      const left = open(file(VERSION, ...common, net(PING), bare(1)));
      const other = Buffer.from(PING);
      other[50] = 0xff;
      const right = open(file(VERSION, ...common, net(other), bare(1)));
      const diff = diffLogs(left, right);
      if (diff.kind !== 'different') throw new Error('they differ');
      expect(diff.lsn).to.equal(12 + Buffer.concat(common).length);
      expect(diff.before.map(({ name }) => name)).to.deep.equal([
        'instructions',
        'clock-host',
        'interrupt',
        'instructions',
        'interrupt',
      ]);
      expect([diff.left, diff.right].map((side) => side.kind === 'event' && side.event.name)).to.deep.equal([
        'net',
        'net',
      ]);
    });

    it('shows a fault or an end as what it is', () => {
      const left = open(file(VERSION, ...common, bare(1)));
      const broken = diffLogs(left, open(file(VERSION, ...common, bare(250))));
      expect(broken.kind === 'different' && broken.right.kind).to.equal('fault');
      const cut = diffLogs(
        open(file(VERSION, ...common, net(PING))),
        open(file(VERSION, ...common, bare(7))),
      );
      expect(cut.kind === 'different' && cut.right.kind).to.equal('ended');
    });

    it('takes logs that begin at different positions, and refuses those without a common one', () => {
      const tail = Buffer.concat([instructions(5), bare(1)]);
      const whole = open(file(VERSION, ...common, tail));
      const begin = 12 + Buffer.concat(common).length;
      expect(diffLogs(whole, open(file(tail), begin))).to.deep.equal({
        kind: 'same',
        from: begin,
        to: whole.end,
      });
      expect(codeOf(() => diffLogs(whole, open(file(tail), 1e6)))).to.equal('LOG_APART');
    });

    it('finds the very event (property)', () => {
      fc.assert(
        fc.property(
          fc.array(anyEvent, { minLength: 1, maxLength: 60 }),
          fc.nat(),
          fc.integer({ min: 1, max: 255 }),
          (parts, pick, flip) => {
            const bytes = Buffer.concat(parts);
            const at = pick % bytes.length;
            const changed = Buffer.from(bytes);
            changed[at] = (changed[at] ?? 0) ^ flip;
            const diff = diffLogs(open(file(VERSION, bytes)), open(file(VERSION, changed)));
            let lsn = 12;
            for (const part of parts) {
              if (lsn + part.length > 12 + at) break;
              lsn += part.length;
            }
            expect(diff.kind === 'different' && diff.lsn).to.equal(lsn);
            for (const source of sources.splice(0)) source.close();
          },
        ),
        { numRuns: 200 },
      );
    });
  });

  describe('in words', () => {
    it('an event is a line', () => {
      const lines = all(
        open(
          file(
            VERSION,
            instructions(7),
            clock(1_700_000_000_000_000_000n),
            random(Buffer.alloc(40)),
            bare(34),
          ),
        ),
      ).map(describeEvent);
      expect(lines).to.deep.equal([
        '          12               7  instructions                  count 7',
        '          17               7  clock-host                    ns 1700000000000000000 (2023-11-14T22:13:20.000Z)',
        `          26               7  random                        result 0 data ${'00'.repeat(24)}... (40 bytes)`,
        '          75               7  checkpoint-clock-virtual',
      ]);
    });

    it('and an object without lost digits', () => {
      const [event] = all(open(file(VERSION, clock(2n ** 62n))));
      expect(event && eventToJson(event)).to.deep.equal({
        lsn: 12,
        length: 9,
        name: 'clock-host',
        instructions: '0',
        fields: { ns: '4611686018427387904' },
      });
    });

    it('a packet is who to whom', () => {
      expect(describePacket(PING)).to.equal(
        'ICMP 10.99.0.1 > 10.99.0.2 type 8, 02:00:00:00:00:01 > 02:00:00:00:00:02, 98 bytes',
      );
      const tcp =
        '0200000000020200000000010800' +
        '450000290001400040060000' +
        '0a4d00010a4d0002' +
        'd03118eb0000000100000002501801f60000000041';
      expect(describePacket(Buffer.from(tcp, 'hex'))).to.equal(
        'TCP 10.77.0.1:53297 > 10.77.0.2:6379 [P.] seq 1 ack 2 data 1, 02:00:00:00:00:01 > 02:00:00:00:00:02, 55 bytes',
      );
      const arp =
        'ffffffffffff525400000001' +
        '0806' +
        '0001080006040001' +
        '5254000000010a4d0001' +
        '0000000000000a4d0002';
      expect(describePacket(Buffer.from(arp, 'hex'))).to.match(/^ARP who-has 10.77.0.2 tell 10.77.0.1, /);
      const udp6 =
        '333300000001020000000001' +
        '8100' +
        '0005' +
        '86dd' +
        '60000000000a11ff' +
        'fe800000000000000000000000000001' +
        'ff020000000000000000000000000002' +
        '00350036000a0000' +
        '6869';
      expect(describePacket(Buffer.from(udp6, 'hex'))).to.match(
        /^VLAN 5 UDP \[fe80::1\]:53 > \[ff02::2\]:54 data 2, /,
      );
    });

    it('a packet may be anything', () => {
      fc.assert(
        fc.property(
          fc.uint8Array({ maxLength: 100 }),
          fc.constantFrom('0800', '86dd', '0806', '8100', ''),
          (bytes, type) => {
            const frame = Buffer.concat([
              Buffer.alloc(type === '' ? 0 : 12),
              Buffer.from(type, 'hex'),
              bytes,
            ]);
            expect(describePacket(frame)).to.include(`${frame.length} bytes`);
          },
        ),
      );
    });

    it('a summary is a table', () => {
      const text = describeSummary(
        summarize(open(file(VERSION, instructions(7), net(PING), net(PING), bare(99)))),
      );
      expect(text).to.include('3 events, 7 instructions');
      expect(text).to.match(/^net +2 +216 +97\.7 % {2}#{29}$/m);
      expect(text).to.match(/position 233: no kind of event/);
    });
  });
});
