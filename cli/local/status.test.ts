// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { sidecarStatusSchema } from '../../sidecar/observe/status-schema.js';
import { copyText } from '../verbs/status.js';
import type { HostKind, HostView } from './observe.js';
import { wordsOf } from './status.js';

const view = (kind: HostKind, protection: object = { word: 'Protected' }): HostView => ({
  name: 'a',
  kind,
  agent: null,
  sidecar: sidecarStatusSchema.parse({
    role: 'primary',
    phase: 'protected',
    epoch: 2,
    nonce: 'a',
    peer: null,
    protection,
    lease: null,
    numbers: null,
  }),
});

const said = (kinds: readonly HostKind[], lease: string | null = null): string => {
  const { status, state, reason } = wordsOf(
    kinds.map((kind) => view(kind)),
    lease,
  );
  return [status, state, reason].filter((word) => word !== null).join(', ');
};

describe("a pair's status", () => {
  for (const [kinds, words] of [
    [['guarded', 'backup'], 'Protected'],
    [['guarded', 'deaf'], 'Protected'],
    [['deaf', 'idle'], 'Not Protected, Unknown, noAnswer'],
    [['silent', 'backup'], 'Not Protected, Unknown, noAnswer'],
    [['deaf', 'starting'], 'Not Protected, Unknown, noAnswer'],
    [['starting', 'idle'], 'Not Protected, Starting, initializing'],
    [['idle', 'dead'], 'Not Protected, VM not Running'],
    [['alone', 'guarded'], 'Not Protected, Disabled, twoOwners'],
  ] as const) {
    it(`is '${words}' when its hosts are ${kinds.join(' and ')}`, () => {
      expect(said(kinds)).to.equal(words);
    });
  }

  it('tells of a lease store that keeps the VM from going on, and uses the words of the owner', () => {
    expect(said(['deciding', 'idle'], 'storeAway')).to.equal('Not Protected, VM not Running, leaseUnusable');
    const own = { word: 'Not Protected', state: 'Need Secondary VM', reason: 'divergence' };
    expect(wordsOf([view('alone', own)], null)).to.deep.equal({
      status: 'Not Protected',
      state: 'Need Secondary VM',
      reason: 'divergence',
    });
  });

  it('tells how far the copy of the disks is, its rate, and what is left', () => {
    const copy = {
      doneBytes: 3 * 2 ** 30,
      totalBytes: 4 * 2 ** 30,
      bytesPerSecond: 2 ** 23,
      secondsLeft: 128,
    };
    expect(copyText(copy)).to.equal(
      'copying the disks to the new backup: 75 % (3.0 GiB of 4.0 GiB), 8 MiB/s, about 2 min 8 s left',
    );
    expect(copyText({ ...copy, doneBytes: 0, bytesPerSecond: 0, secondsLeft: null })).to.match(
      /: 0 % \(0 MiB of 4\.0 GiB\), 0 MiB\/s, time left not known yet$/,
    );
    expect(copyText({ ...copy, secondsLeft: 7260 })).to.include('about 2 h 1 min left');
    expect(copyText({ ...copy, secondsLeft: 9 })).to.include('about 9 s left');
  });
});
