// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { LeaseRecord } from './messages.js';
import type { Verdict } from './watch.js';
import { judgeRecord, storeName } from './watch.js';

const RECORD: LeaseRecord = {
  store: 's',
  epoch: 5,
  primary: 'me',
  backup: 'b',
  winner: null,
  run: '1',
  claimable: true,
};

const ROWS: readonly (readonly [string, Partial<LeaseRecord>, Verdict, Verdict])[] = [
  ['as it was armed', {}, 'usable', 'usable'],
  ['as it was won by this side', { winner: 'me' }, 'usable', 'usable'],
  ['reopened', { epoch: 0, store: 't', primary: '', backup: '' }, 'usable', 'stale'],
  ["another store's", { store: 't' }, 'foreignStore', 'foreignStore'],
  ['won by the backup', { winner: 'b' }, 'superseded', 'superseded'],
  ['armed by the backup since', { epoch: 6, primary: 'b' }, 'superseded', 'superseded'],
  ['founded again elsewhere', { epoch: 6, primary: 'x', winner: 'x' }, 'superseded', 'superseded'],
  ['armed higher by this side', { epoch: 6 }, 'usable', 'usable'],
  ['of an earlier life of the store', { claimable: false }, 'usable', 'stale'],
  ['rolled back', { epoch: 4 }, 'usable', 'stale'],
  ['rolled back to when another had won', { epoch: 4, primary: 'x', winner: 'x' }, 'usable', 'stale'],
];

describe('lease watch', () => {
  for (const [what, change, alone, armed] of ROWS) {
    it(`a key ${what}: ${alone} for a sole owner, ${armed} for an armed one`, () => {
      const record = { ...RECORD, ...change };
      const term = { epoch: 5, store: 's' };
      expect(judgeRecord(record, term, false, 'me')).to.equal(alone);
      expect(judgeRecord(record, term, true, 'me')).to.equal(armed);
    });
  }

  it('names stores by incarnation and count', () => {
    const nonce = 'ab'.repeat(16);
    expect(storeName(nonce, 10)).to.equal('ab'.repeat(12) + '0000000a');
  });
});
