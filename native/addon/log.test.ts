// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import {
  EVENT_BYTES_MAX,
  EVENT_NAMES,
  eventFields,
  eventLength,
  ftlogErrorName,
  logVersionKnown,
  SCAN_WORDS,
  scanEvents,
} from './index.js';
import { codeOf } from './test/fake-shim.js';

describe('event table', () => {
  it('is the one of ftlog/parse.c', () => {
    expect(EVENT_NAMES).to.have.length(41);
    expect(EVENT_NAMES[40]).to.equal('warp');
    expect(EVENT_NAMES[9]).to.equal('net');
    expect(EVENT_NAMES[21]).to.equal(null);
    expect(ftlogErrorName(6)).to.equal('EVENT_LENGTH');
    expect(ftlogErrorName(12345)).to.equal('UNKNOWN');
    expect(logVersionKnown(0xe0200c)).to.be.true;
    expect(logVersionKnown(0xe0200b)).to.be.false;
  });

  it('tells length, incomplete and fault apart', () => {
    const log = Buffer.from('ff0000000007', 'hex');
    expect(eventLength(log, 0)).to.equal('EVENT_KIND');
    expect(eventLength(log, 1)).to.equal(5);
    expect(eventLength(log.subarray(0, 5), 1)).to.equal(0);
    expect(eventLength(log, 6)).to.equal(0);
    expect(eventLength(log, 1e15)).to.equal(0);
    expect(eventFields(log, 1)).to.deep.equal([['count', 7n]]);
    expect(eventFields(log, 0)).to.equal(null);
    expect(eventFields(log, 6)).to.equal(null);
  });

  it('refuses what is no log', () => {
    expect(codeOf(() => eventLength('' as unknown as Buffer, 0))).to.equal('INVALID_ARGUMENT');
    expect(codeOf(() => eventLength(Buffer.of(1), -1))).to.equal('INVALID_ARGUMENT');
    expect(codeOf(() => eventLength(Buffer.of(1), 0.5))).to.equal('INVALID_ARGUMENT');
    expect(codeOf(() => eventFields(Buffer.of(1), Number.NaN))).to.equal('INVALID_ARGUMENT');
    expect(codeOf(() => scanEvents(Buffer.of(1), 0, [] as unknown as Uint32Array))).to.equal(
      'INVALID_ARGUMENT',
    );
    expect(codeOf(() => ftlogErrorName(-1))).to.equal('INVALID_ARGUMENT');
  });

  it('scans as one would by hand, whatever the bytes', () => {
    // Mostly kinds without payload, so that runs of events come out.
    const bytes = fc.array(fc.oneof(fc.constantFrom(0, 1, 2, 6, 30), fc.integer({ min: 0, max: 255 })), {
      maxLength: 500,
    });
    fc.assert(
      fc.property(bytes, fc.nat(20), fc.nat(40), (all, offset, room) => {
        const log = Buffer.from(all);
        const out = new Uint32Array(room * SCAN_WORDS);
        const events = scanEvents(log, offset, out);
        let at = offset;
        for (let i = 0; i < events; i++) {
          const length = eventLength(log, at);
          expect([...out.subarray(i * SCAN_WORDS, i * SCAN_WORDS + 2)]).to.deep.equal([log[at], length]);
          expect(out[i * SCAN_WORDS + 2]).to.equal(log[at] === 0 ? log.readUInt32BE(at + 1) : 0);
          at += Number(length);
        }
        const rest = eventLength(log, at);
        if (events < room) expect(typeof rest === 'string' || rest === 0).to.be.true;
        expect(log.length - at).to.be.below(EVENT_BYTES_MAX);
      }),
    );
  });
});
