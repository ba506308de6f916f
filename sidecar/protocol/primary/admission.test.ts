// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { House } from './admission.js';
import { isTemporary, judgeHello } from './admission.js';
import type { HelloFrame } from '../frames.js';
import { PROTOCOL_VERSION } from '../frames.js';
import type { RefuseReason } from '../reasons.js';
import { REFUSE_REASONS } from '../reasons.js';

const IDENTITY = { engine: 'record-replay', logVersion: 1, qemuVersion: '10.0.2', deviceHash: 'd' };
const HELLO: HelloFrame = {
  type: 'hello',
  protocol: PROTOCOL_VERSION,
  vm: 'a',
  nonce: 'backup',
  identity: IDENTITY,
  ringBytes: 1,
  resume: null,
};
const HOUSE: House = {
  vm: 'a',
  nonce: 'primary',
  identity: IDENTITY,
  enabled: true,
  alone: true,
  undecided: false,
  resumable: null,
};
const POINT = { primary: 'primary', received: 1, consumed: 1, compared: 0 };

const ROWS: readonly (readonly [string, Partial<HelloFrame>, Partial<House>, RefuseReason | null])[] = [
  ['a fitting backup', {}, {}, null],
  ['another protocol', { protocol: 99 }, {}, 'protocolVersion'],
  ['another VM', { vm: 'b' }, {}, 'otherVm'],
  ['another engine', { identity: { ...IDENTITY, engine: 'checkpoints' } }, {}, 'engineKind'],
  ['another log', { identity: { ...IDENTITY, logVersion: 2 } }, {}, 'logVersion'],
  ['another QEMU', { identity: { ...IDENTITY, qemuVersion: '9.1' } }, {}, 'qemuVersion'],
  ['other devices', { identity: { ...IDENTITY, deviceHash: 'e' } }, {}, 'deviceHash'],
  ['protection off', {}, { enabled: false }, 'disabled'],
  ['a second backup', {}, { alone: false }, 'busy'],
  ['an owner that is not sure', {}, { alone: false, undecided: true }, 'notOwner'],
  ['resume of the right one', { resume: POINT }, { alone: false, resumable: 'backup' }, null],
  [
    'resume with protection switched off meanwhile',
    { resume: POINT },
    { alone: false, resumable: 'backup' },
    null,
  ],
  ['resume of another', { resume: POINT }, { alone: false, resumable: 'other' }, 'resumeUnknown'],
  [
    'resume at another primary',
    { resume: { ...POINT, primary: 'x' } },
    { resumable: 'backup' },
    'resumeUnknown',
  ],
  ['resume when nothing can', { resume: POINT }, { undecided: true }, 'resumeUnknown'],
];

describe('admission', () => {
  for (const [what, hello, house, reason] of ROWS) {
    it(`${what}: ${reason ?? 'welcome'}`, () => {
      const refusal = judgeHello({ ...HELLO, ...hello }, { ...HOUSE, ...house });
      expect(refusal?.reason ?? null).to.equal(reason);
      if (refusal !== null) expect(refusal.detail).to.have.length.above(5);
    });
  }

  it('asks again only for what may pass by itself', () => {
    expect(REFUSE_REASONS.filter(isTemporary)).to.deep.equal(['busy', 'notOwner']);
  });
});
