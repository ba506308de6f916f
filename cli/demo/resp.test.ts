// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { encodeCommand, ReplyReader, RespError, type Reply } from './resp.js';

const STREAM = ':1\r\n$5\r\nhello\r\n$-1\r\n-ERR no\r\n+OK\r\n:-7\r\n';
const REPLIES: readonly Reply[] = [
  { kind: 'number', value: 1 },
  { kind: 'text', value: 'hello' },
  { kind: 'text', value: null },
  { kind: 'error', words: 'ERR no' },
  { kind: 'text', value: 'OK' },
  { kind: 'number', value: -7 },
];

describe('RESP', () => {
  it('writes a command as an array of texts', () => {
    expect(encodeCommand(['GET', 'n'])).to.equal('*2\r\n$3\r\nGET\r\n$1\r\nn\r\n');
  });

  it('reads replies, however they are cut into pieces', () => {
    const cuts = fc.array(fc.nat(STREAM.length), { maxLength: 12 });
    fc.assert(
      fc.property(cuts, (places) => {
        const sorted = [0, ...places.sort((a, b) => a - b), STREAM.length];
        const reader = new ReplyReader();
        const read = sorted.slice(1).flatMap((end, index) => reader.push(STREAM.slice(sorted[index], end)));
        expect(read).to.deep.equal(REPLIES);
      }),
    );
  });

  it('meets garbage with its own error, or waits for more', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii' }), (garbage) => {
        try {
          new ReplyReader().push(garbage);
        } catch (error) {
          expect(error).to.be.instanceOf(RespError);
        }
      }),
    );
  });

  it('does not keep a reply that never ends', () => {
    const reader = new ReplyReader();
    const chunk = `+${'x'.repeat(40_000)}`;
    reader.push(chunk);
    expect(() => reader.push(chunk)).to.throw(RespError, 'without an end');
  });
});
