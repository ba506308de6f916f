// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import type { Frame, LogFrame, PacketsFrame, WireFrame } from '../../protocol/frames.js';
import { BAR_REASONS, GOODBYE_REASONS, HANDOVER_REASONS, REFUSE_REASONS } from '../../protocol/reasons.js';
import {
  FrameDecoder,
  FrameEncoder,
  HEADER_BYTES,
  LOG_BYTES_MAX,
  decodePreface,
  encodePreface,
  type Preface,
} from './codec.js';
import { PACKET_BYTES_MAX } from '../netdev.js';
import { ChannelError } from './errors.js';
import { LAYOUT, LOG_CODE, type WholeFrame } from './layout.js';
import { PACKETS_BYTES_MAX, PACKETS_MAX, PACKETS_PAYLOAD_MAX, packetFrames } from './packets.js';
import { WireValueError, fitText } from './wire.js';

const u64 = fc.maxSafeNat();
const id = fc.stringMatching(/^[0-9a-f]{32}$/);
const short = (max: number): fc.Arbitrary<string> => fc.string({ maxLength: max });
const wellFormed = fc.string({ maxLength: 300, unit: 'grapheme' }).map((text) => fitText(text, 1024));

const packet = fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes));

const ARBITRARIES: {
  readonly [T in WholeFrame['type']]: fc.Arbitrary<Extract<WholeFrame, { type: T }>>;
} = {
  hello: fc.record({
    type: fc.constant('hello'),
    protocol: fc.nat(65535),
    vm: short(63),
    nonce: id,
    identity: fc.record({
      engine: short(64),
      logVersion: fc.nat(0xffffffff),
      qemuVersion: short(256),
      deviceHash: short(128),
    }),
    ringBytes: u64,
    resume: fc.option(fc.record({ primary: id, received: u64, consumed: u64, compared: u64 })),
  }),
  welcome: fc.record({ type: fc.constant('welcome'), nonce: id, resumeFrom: fc.option(u64) }),
  refuse: fc.record({
    type: fc.constant('refuse'),
    reason: fc.constantFrom(...REFUSE_REASONS),
    detail: wellFormed,
  }),
  clonePoint: fc.record({ type: fc.constant('clonePoint'), lsn: u64 }),
  loaded: fc.record({ type: fc.constant('loaded') }),
  digest: fc.record({ type: fc.constant('digest'), n: u64, lsn: u64, hash: id }),
  released: fc.record({ type: fc.constant('released'), n: u64 }),
  diskOutcome: fc.record({
    type: fc.constant('diskOutcome'),
    disk: fc.nat(255),
    k: u64,
    error: fc.nat(0xffffffff),
    written: fc.nat(0xffffffff),
  }),
  ack: fc.record({ type: fc.constant('ack'), received: u64, consumed: u64, compared: u64 }),
  beat: fc.record({ type: fc.constant('beat'), seq: u64, echo: u64 }),
  prepare: fc.record({ type: fc.constant('prepare'), epoch: u64, store: id }),
  prepared: fc.record({ type: fc.constant('prepared'), epoch: u64, store: id }),
  armed: fc.record({ type: fc.constant('armed'), epoch: u64 }),
  handover: fc.record({ type: fc.constant('handover'), reason: fc.constantFrom(...HANDOVER_REASONS) }),
  barred: fc.record({
    type: fc.constant('barred'),
    reason: fc.constantFrom(...BAR_REASONS),
    detail: wellFormed,
  }),
  goodbye: fc.record({ type: fc.constant('goodbye'), reason: fc.constantFrom(...GOODBYE_REASONS) }),
  packets: fc.record({
    type: fc.constant('packets'),
    first: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER - PACKETS_MAX }),
    packets: fc.array(packet, { minLength: 1, maxLength: 20 }),
  }),
};

const logFrame: fc.Arbitrary<LogFrame> = fc.record({
  type: fc.constant('log'),
  lsn: fc.nat(0x7fffffff),
  end: fc.boolean(),
  packets: u64,
  bytes: fc.uint8Array({ minLength: 1, maxLength: 3000 }),
});
const anyFrame: fc.Arbitrary<WireFrame> = fc.oneof(...Object.values(ARBITRARIES), logFrame);
/** Where a stream is cut into chunks. */
const cuts = fc.array(fc.nat(4096), { maxLength: 30 });

function encodeAll(frames: readonly WireFrame[]): Buffer {
  const encoder = new FrameEncoder();
  return Buffer.concat(frames.flatMap((frame) => encodeOne(encoder, frame)));
}

function encodeOne(encoder: FrameEncoder, frame: WireFrame): Uint8Array[] {
  if (frame.type !== 'log') return [encoder.encode(frame)];
  return [encoder.encodeLogHead(frame, frame.bytes.length), frame.bytes];
}

/** Pieces of log that follow each other, as one, unless `end` or a count of packets parts them. */
function joinLog(frames: readonly WireFrame[]): WireFrame[] {
  const joined: WireFrame[] = [];
  for (const frame of frames) {
    const last = joined.at(-1);
    const continues =
      frame.type === 'log' &&
      last?.type === 'log' &&
      !last.end &&
      last.packets === 0 &&
      last.lsn + last.bytes.length === frame.lsn;
    if (continues)
      joined[joined.length - 1] = {
        ...frame,
        lsn: last.lsn,
        bytes: Buffer.concat([last.bytes, frame.bytes]),
      };
    else joined.push(frame.type === 'log' ? { ...frame, bytes: Buffer.from(frame.bytes) } : frame);
  }
  return joined;
}

function chunksOf(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    chunks.push(bytes.subarray(at, at + size));
    at = Math.min(bytes.length, at + size);
  }
  chunks.push(bytes.subarray(at));
  return chunks;
}

function decodeAll(chunks: readonly Buffer[]): WireFrame[] {
  const frames: WireFrame[] = [];
  const decoder = new FrameDecoder((frame) => frames.push(frame));
  for (const chunk of chunks) decoder.push(chunk);
  return frames;
}

/** Decodes what may be garbage. Anything but a ChannelError is a failure of the test. */
function decodeGarbage(chunks: readonly Buffer[]): { frames: WireFrame[]; code: string | null } {
  const frames: WireFrame[] = [];
  const decoder = new FrameDecoder((frame) => frames.push(frame));
  try {
    for (const chunk of chunks) decoder.push(chunk);
    return { frames, code: null };
  } catch (error) {
    if (!(error instanceof ChannelError)) throw error;
    return { frames, code: error.code };
  }
}

function header(fields: {
  version?: number;
  type: number;
  flags?: number;
  length: number;
  number?: number;
}): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt8(fields.version ?? 1, 0);
  bytes.writeUInt8(fields.type, 1);
  bytes.writeUInt16BE(fields.flags ?? 0, 2);
  bytes.writeUInt32BE(fields.length, 4);
  bytes.writeBigUInt64BE(BigInt(fields.number ?? 1), 8);
  return bytes;
}

/** Of packets on the wire. */
const total = (lengths: readonly number[]): number => lengths.reduce((sum, length) => sum + 4 + length, 0);

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function packetsHead(first: number, count: number): Buffer {
  const bytes = Buffer.alloc(10);
  bytes.writeBigUInt64BE(BigInt(first));
  bytes.writeUInt16BE(count, 8);
  return bytes;
}

describe('channel codec: round trip', () => {
  for (const [type, arbitrary] of Object.entries(ARBITRARIES)) {
    it(type, () => {
      fc.assert(
        fc.property(arbitrary, cuts, (frame, sizes) => {
          expect(decodeAll(chunksOf(encodeAll([frame]), sizes))).to.deep.equal([frame]);
        }),
      );
    });
  }

  it('streams of any frames, cut anywhere', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 12 }), cuts, (frames, sizes) => {
        const decoded = decodeAll(chunksOf(encodeAll(frames), sizes));
        expect(joinLog(decoded)).to.deep.equal(joinLog(frames));
      }),
    );
  });

  it('byte by byte', () => {
    const frames: WireFrame[] = [
      { type: 'loaded' },
      { type: 'log', lsn: 12, end: true, packets: 3, bytes: Buffer.from('abc') },
      { type: 'loaded' },
      { type: 'beat', seq: 1, echo: 0 },
    ];
    const bytes = encodeAll(frames);
    const decoded = decodeAll(Array.from(bytes, (_byte, i) => bytes.subarray(i, i + 1)));
    expect(joinLog(decoded)).to.deep.equal(joinLog(frames));
  });

  it('log is handed on as views of what came, and only the last piece ends and counts', () => {
    const bytes = encodeAll([{ type: 'log', lsn: 100, end: true, packets: 3, bytes: Buffer.alloc(10, 1) }]);
    const chunk = bytes.subarray(0, bytes.length - 4);
    const [first, second] = decodeAll([chunk, bytes.subarray(bytes.length - 4)]) as [LogFrame, LogFrame];
    expect(first.bytes.buffer).to.equal(chunk.buffer);
    expect([first.lsn, first.end, first.packets, first.bytes.length]).to.deep.equal([100, false, 0, 6]);
    expect([second.lsn, second.end, second.packets, second.bytes.length]).to.deep.equal([106, true, 3, 4]);
  });

  it('every type has its own number', () => {
    const codes = [...Object.values(LAYOUT).map((row) => row.code), LOG_CODE];
    expect(new Set(codes).size).to.equal(codes.length);
  });

  it('cuts a long detail at a character', () => {
    const detail = 'é'.repeat(600);
    const [frame] = decodeAll([encodeAll([{ type: 'barred', reason: 'divergence', detail }])]);
    expect(frame).to.deep.equal({ type: 'barred', reason: 'divergence', detail: 'é'.repeat(512) });
  });
});

describe('channel codec: bad input', () => {
  const cases: readonly (readonly [string, Buffer, string])[] = [
    ['another version', header({ version: 2, type: 10, length: 16 }), 'CHANNEL_BAD_VERSION'],
    ['an unknown type', header({ type: 99, length: 0 }), 'CHANNEL_UNKNOWN_TYPE'],
    ['reserved bits', header({ type: 5, flags: 1, length: 0 }), 'CHANNEL_MALFORMED'],
    ['a frame that was left out', header({ type: 5, length: 0, number: 2 }), 'CHANNEL_BAD_SEQUENCE'],
    ['a payload above its type', header({ type: 10, length: 17 }), 'CHANNEL_FRAME_TOO_LONG'],
    ['four gigabytes of log', header({ type: LOG_CODE, length: 0xffffffff }), 'CHANNEL_FRAME_TOO_LONG'],
    ['log above its bound', header({ type: LOG_CODE, length: LOG_BYTES_MAX + 18 }), 'CHANNEL_FRAME_TOO_LONG'],
    ['log without bytes', header({ type: LOG_CODE, length: 17 }), 'CHANNEL_MALFORMED'],
    [
      'a payload below its type',
      Buffer.concat([header({ type: 10, length: 15 }), Buffer.alloc(15)]),
      'CHANNEL_MALFORMED',
    ],
    [
      'a number above 2^53',
      Buffer.concat([header({ type: 8, length: 8 }), Buffer.alloc(8, 0xff)]),
      'CHANNEL_MALFORMED',
    ],
    [
      'a flag of 2',
      Buffer.concat([header({ type: 2, length: 17 }), Buffer.alloc(17, 2)]),
      'CHANNEL_MALFORMED',
    ],
    [
      'a text beyond its frame',
      Buffer.concat([header({ type: 16, length: 3 }), Buffer.from([0, 9, 65])]),
      'CHANNEL_MALFORMED',
    ],
    [
      'a text that is not UTF-8',
      Buffer.concat([header({ type: 16, length: 3 }), Buffer.from([0, 1, 0xff])]),
      'CHANNEL_MALFORMED',
    ],
    [
      'a frame of no packets',
      Buffer.concat([header({ type: 17, length: 10 }), packetsHead(1, 0)]),
      'CHANNEL_MALFORMED',
    ],
    [
      'a frame of too many packets',
      Buffer.concat([
        header({ type: 17, length: 10 + 4 * (PACKETS_MAX + 1) }),
        packetsHead(1, PACKETS_MAX + 1),
        Buffer.alloc(4 * (PACKETS_MAX + 1)),
      ]),
      'CHANNEL_MALFORMED',
    ],
    [
      'packets numbered from 0',
      Buffer.concat([header({ type: 17, length: 14 }), packetsHead(0, 1), Buffer.alloc(4)]),
      'CHANNEL_MALFORMED',
    ],
    [
      'a packet that QEMU would not take',
      Buffer.concat([
        header({ type: 17, length: 14 + PACKET_BYTES_MAX + 1 }),
        packetsHead(1, 1),
        u32(PACKET_BYTES_MAX + 1),
        Buffer.alloc(PACKET_BYTES_MAX + 1),
      ]),
      'CHANNEL_MALFORMED',
    ],
    [
      'a packet beyond its frame',
      Buffer.concat([header({ type: 17, length: 15 }), packetsHead(1, 1), u32(2), Buffer.alloc(1)]),
      'CHANNEL_MALFORMED',
    ],
    [
      'packets above their bound',
      header({ type: 17, length: PACKETS_PAYLOAD_MAX + 1 }),
      'CHANNEL_FRAME_TOO_LONG',
    ],
    [
      'an unknown word',
      Buffer.concat([header({ type: 16, length: 3 }), Buffer.from([0, 1, 65])]),
      'CHANNEL_MALFORMED',
    ],
  ];
  for (const [what, bytes, code] of cases) {
    it(`${what}: ${code}`, () => {
      expect(decodeGarbage([bytes]).code).to.equal(code);
    });
  }

  it('a frame that comes twice', () => {
    const bytes = encodeAll([{ type: 'loaded' }]);
    expect(decodeGarbage([bytes, bytes])).to.deep.equal({
      frames: [{ type: 'loaded' }],
      code: 'CHANNEL_BAD_SEQUENCE',
    });
  });

  it('takes nothing more after an error, or after stop', () => {
    const frames: WireFrame[] = [];
    const decoder = new FrameDecoder((frame) => {
      frames.push(frame);
      decoder.stop();
    });
    decoder.push(encodeAll([{ type: 'loaded' }, { type: 'loaded' }]));
    expect(frames).to.have.length(1);
  });

  it('arbitrary bytes never crash it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4096 }), cuts, (bytes, sizes) => {
        decodeGarbage(chunksOf(Buffer.from(bytes), sizes));
      }),
      { numRuns: 1000 },
    );
  });

  it('arbitrary payloads behind a good header never crash it', () => {
    const rows = Object.values(LAYOUT);
    fc.assert(
      fc.property(fc.nat(rows.length - 1), fc.uint8Array({ maxLength: 1200 }), (i, bytes) => {
        const row = rows[i];
        if (row === undefined) return;
        const payload = Buffer.from(bytes.subarray(0, row.bytesMax));
        decodeGarbage([header({ type: row.code, length: payload.length }), payload]);
      }),
      { numRuns: 2000 },
    );
  });

  it('a stream cut short yields a prefix and no error', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 6 }), fc.nat(), (frames, cut) => {
        const bytes = encodeAll(frames);
        const { frames: decoded, code } = decodeGarbage([bytes.subarray(0, cut % bytes.length)]);
        expect(code).to.equal(null);
        const whole = joinLog(frames);
        const complete = joinLog(decoded).filter((frame) => frame.type !== 'log');
        expect(whole.filter((frame) => frame.type !== 'log').slice(0, complete.length)).to.deep.equal(
          complete,
        );
      }),
    );
  });

  it('a stream with a flipped bit yields a named error, or frames', () => {
    fc.assert(
      fc.property(
        fc.array(anyFrame, { minLength: 1, maxLength: 6 }),
        fc.nat(),
        fc.nat(7),
        (frames, at, bit) => {
          const bytes = encodeAll(frames);
          const index = at % bytes.length;
          bytes.writeUInt8(bytes.readUInt8(index) ^ (1 << bit), index);
          decodeGarbage([bytes]);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('any packets become frames that the other side takes, none lost, none moved', () => {
    const sizes = fc.array(fc.oneof(fc.nat(100), fc.nat(2000), fc.nat(PACKET_BYTES_MAX)), { maxLength: 300 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 1e12 }), (lengths, first) => {
        const packets = lengths.map((length, i) => Buffer.alloc(length, i));
        const frames = [...packetFrames(first, packets)];
        const decoded = decodeAll([encodeAll(frames)]) as PacketsFrame[];
        let due = first;
        for (const frame of decoded) {
          expect(frame.first).to.equal(due);
          due += frame.packets.length;
        }
        const got = decoded.flatMap((frame) => frame.packets);
        expect(got.map((one) => one.length)).to.deep.equal(lengths);
        expect(Buffer.concat(got).equals(Buffer.concat(packets))).to.equal(true);
        expect(frames.length).to.be.at.most(
          1 + lengths.length / PACKETS_MAX + (2 * total(lengths)) / PACKETS_BYTES_MAX,
        );
      }),
      { numRuns: 50 },
    );
    expect(() => [...packetFrames(1, [Buffer.alloc(PACKET_BYTES_MAX + 1)])]).to.throw(RangeError);
  });

  it('refuses to write what cannot be read', () => {
    const encoder = new FrameEncoder();
    const bad: Frame[] = [
      { type: 'beat', seq: -1, echo: 0 },
      { type: 'beat', seq: 0.5, echo: 0 },
      { type: 'digest', n: 1, lsn: 1, hash: 'no' },
    ];
    for (const frame of bad) expect(() => encoder.encode(frame)).to.throw(WireValueError);
    const fields = { lsn: 0, end: true, packets: 0 };
    expect(() => encoder.encodeLogHead(fields, 0)).to.throw(RangeError);
    expect(() => encoder.encodeLogHead(fields, LOG_BYTES_MAX + 1)).to.throw(RangeError);
  });
});

describe('channel preface', () => {
  it('round trip', () => {
    const preface: fc.Arbitrary<Preface> = fc.record({ purpose: fc.constantFrom('log', 'clone'), nonce: id });
    fc.assert(
      fc.property(preface, (value) => {
        expect(decodePreface(encodePreface(value))).to.deep.equal(value);
      }),
    );
  });

  it('arbitrary bytes are a named error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 24, maxLength: 24 }), (bytes) => {
        expect(() => decodePreface(Buffer.from(bytes))).to.throw(ChannelError, 'CHANNEL_BAD_PREFACE');
      }),
    );
  });

  it('another version and another purpose have names', () => {
    const good = encodePreface({ purpose: 'log', nonce: '0'.repeat(32) });
    const changed = (at: number): Buffer => {
      const bytes = Buffer.from(good);
      bytes.writeUInt8(9, at);
      return bytes;
    };
    expect(() => decodePreface(changed(6))).to.throw(ChannelError, 'CHANNEL_BAD_VERSION');
    expect(() => decodePreface(changed(7))).to.throw(ChannelError, 'CHANNEL_BAD_PREFACE');
  });
});
