// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { expect } from 'chai';
import {
  COMMAND,
  INFO,
  OPTION,
  OPTION_MAGIC,
  OPTION_REPLY,
  PAYLOAD_BYTES_MAX,
  REQUEST_MAGIC,
} from './constants.js';
import { greeting, Handshake, NbdError, type HandshakeStep } from './handshake.js';
import { RequestReader, type Parsed } from './requests.js';

const EXPORT = { name: 'disk0', bytes: 1024 * 1024 };

function option(code: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(16);
  head.writeBigUInt64BE(OPTION_MAGIC, 0);
  head.writeUInt32BE(code, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
}

function infoData(name: string, asked: readonly number[] = []): Buffer {
  const data = Buffer.alloc(4 + name.length + 2 + 2 * asked.length);
  data.writeUInt32BE(name.length, 0);
  data.write(name, 4);
  data.writeUInt16BE(asked.length, 4 + name.length);
  asked.forEach((kind, index) => data.writeUInt16BE(kind, 6 + name.length + 2 * index));
  return data;
}

function begun(flags = 3): Handshake {
  const handshake = new Handshake(EXPORT);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(flags, 0);
  expect(handshake.next(bytes)).to.deep.include({ taken: 4 });
  return handshake;
}

/** Types of the replies in what is sent. */
function replies(step: HandshakeStep): number[] {
  if (step.type === 'more') return [];
  const types: number[] = [];
  for (let at = 0; at < step.bytes.length; at += 20 + step.bytes.readUInt32BE(at + 16)) {
    types.push(step.bytes.readUInt32BE(at + 12));
  }
  return types;
}

describe('NBD handshake', () => {
  it('greets as the specification says', () => {
    expect(greeting().toString('latin1', 0, 16)).to.equal('NBDMAGICIHAVEOPT');
    expect(greeting().readUInt16BE(16)).to.equal(3);
  });

  it('GO brings to the requests, with size, flags and block sizes', () => {
    const { step } = begun().next(option(OPTION.go, infoData('disk0', [INFO.blockSize])));
    expect(step.type).to.equal('transmit');
    expect(replies(step)).to.deep.equal([OPTION_REPLY.info, OPTION_REPLY.info, OPTION_REPLY.ack]);
    if (step.type === 'more') return;
    expect(step.bytes.readBigUInt64BE(22)).to.equal(BigInt(EXPORT.bytes));
    expect(step.bytes.readUInt16BE(30)).to.equal(1 | 4 | 8 | 32 | 64);
  });

  it('INFO tells the same, and goes on negotiating', () => {
    const handshake = begun();
    expect(handshake.next(option(OPTION.info, infoData(''))).step.type).to.equal('send');
    expect(replies(handshake.next(option(OPTION.list)).step)).to.deep.equal([
      OPTION_REPLY.server,
      OPTION_REPLY.ack,
    ]);
  });

  it('another name is unknown, odd lengths are invalid, other options are not supported', () => {
    const handshake = begun();
    expect(replies(handshake.next(option(OPTION.go, infoData('other'))).step)).to.deep.equal([
      OPTION_REPLY.unknown,
    ]);
    expect(replies(handshake.next(option(OPTION.go, Buffer.from([0, 0, 0, 9, 1, 2]))).step)).to.deep.equal([
      OPTION_REPLY.invalid,
    ]);
    expect(replies(handshake.next(option(8)).step)).to.deep.equal([OPTION_REPLY.unsupported]);
    expect(handshake.next(option(OPTION.abort)).step.type).to.equal('close');
  });

  it('the old way: by name, padded for who wants that', () => {
    const { step } = begun(1).next(option(OPTION.exportName, Buffer.from('disk0')));
    expect(step).to.have.property('type', 'transmit');
    expect(step.type === 'transmit' && step.bytes.length).to.equal(134);
    expect(begun().next(option(OPTION.exportName, Buffer.from('no'))).step.type).to.equal('close');
  });

  it('shows out who does not speak the protocol', () => {
    expect(() => begun().next(Buffer.alloc(16, 1))).to.throw(NbdError);
    const long = option(OPTION.list);
    long.writeUInt32BE(1_000_000, 12);
    expect(() => begun().next(long)).to.throw(NbdError, /1000000 bytes/);
    expect(() => new Handshake(EXPORT).next(Buffer.from([0, 0, 0, 4]))).to.throw(NbdError);
  });

  it('any bytes end in a step or in an NbdError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(10), (bytes, code) => {
        try {
          begun().next(Buffer.from(bytes));
          begun().next(option(code, Buffer.from(bytes)));
        } catch (error) {
          expect(error).to.be.instanceOf(NbdError);
        }
      }),
    );
  });
});

interface Head {
  readonly command: number;
  readonly offset?: bigint;
  readonly length?: number;
  readonly flags?: number;
}

function requestBytes(
  { command, offset = 0n, length = 0, flags = 0 }: Head,
  data: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(28);
  head.writeUInt32BE(REQUEST_MAGIC, 0);
  head.writeUInt16BE(flags, 4);
  head.writeUInt16BE(command, 6);
  head.writeBigUInt64BE(77n, 8);
  head.writeBigUInt64BE(offset, 16);
  head.writeUInt32BE(length, 24);
  return Buffer.concat([head, data]);
}

function parse(bytes: Buffer, pieces = [bytes]): Parsed[] {
  const parsed: Parsed[] = [];
  const reader = new RequestReader(EXPORT.bytes, (one) => parsed.push(one));
  for (const piece of pieces) reader.push(piece);
  return parsed;
}

describe('NBD requests', () => {
  it('are cut anywhere and come out whole, data and all', () => {
    const data = Buffer.from('some data');
    const all = Buffer.concat([
      requestBytes({ command: COMMAND.write, offset: 512n, length: data.length, flags: 1 }, data),
      requestBytes({ command: COMMAND.read, offset: 0n, length: 4096 }),
      requestBytes({ command: COMMAND.flush }),
      requestBytes({ command: COMMAND.disconnect }),
    ]);
    fc.assert(
      fc.property(fc.array(fc.nat(all.length), { maxLength: 6 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), all.length];
        const pieces = at.slice(1).map((end, index) => all.subarray(at[index], end));
        const [write, read, flush, last] = parse(all, pieces);
        expect(write).to.deep.equal({
          type: 'request',
          request: {
            cookie: 77n,
            request: { kind: 'write', offset: 512, length: data.length, fua: true, mayPunch: true },
            data,
          },
        });
        expect(read).to.have.nested.property('request.request.kind', 'read');
        expect(flush).to.have.nested.property('request.request.kind', 'flush');
        expect(last).to.deep.equal({ type: 'disconnect' });
      }),
    );
  });

  const REFUSED: readonly [string, Head, number][] = [
    ['a read behind the end', { command: COMMAND.read, offset: BigInt(EXPORT.bytes), length: 1 }, 22],
    [
      'zeroes behind the end',
      { command: COMMAND.writeZeroes, offset: BigInt(EXPORT.bytes) - 1n, length: 2 },
      28,
    ],
    ['an offset that no number holds', { command: COMMAND.trim, offset: 2n ** 64n - 1n, length: 4096 }, 28],
    ['a read of more than was offered', { command: COMMAND.read, length: PAYLOAD_BYTES_MAX + 1 }, 22],
    ['a read of nothing', { command: COMMAND.read }, 22],
    ['a flush of something', { command: COMMAND.flush, length: 512 }, 22],
    ['a command that was not offered', { command: 7, length: 512 }, 22],
    ['a flag that was not offered', { command: COMMAND.read, length: 512, flags: 4 }, 22],
  ];
  for (const [what, head, error] of REFUSED) {
    it(`${what} is refused with ${String(error)}, and the next one is understood`, () => {
      const all = Buffer.concat([requestBytes(head), requestBytes({ command: COMMAND.flush })]);
      const [first, second] = parse(all);
      expect(first).to.deep.equal({ type: 'refused', cookie: 77n, error });
      expect(second).to.have.property('type', 'request');
    });
  }

  it('a write behind the end is refused with its data read', () => {
    const head = { command: COMMAND.write, offset: BigInt(EXPORT.bytes), length: 3 };
    const [first, second] = parse(
      Buffer.concat([requestBytes(head, Buffer.from('abc')), requestBytes({ command: COMMAND.flush })]),
    );
    expect(first).to.deep.equal({ type: 'refused', cookie: 77n, error: 28 });
    expect(second).to.have.property('type', 'request');
  });

  it('garbage, and a write too long to take, end the conversation', () => {
    expect(() => parse(Buffer.alloc(28, 5))).to.throw(NbdError);
    expect(() => parse(requestBytes({ command: COMMAND.write, length: PAYLOAD_BYTES_MAX + 1 }))).to.throw(
      NbdError,
    );
  });
});
