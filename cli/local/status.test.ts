// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { sidecarStatusSchema } from '../../sidecar/observe/status-schema.js';
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
});
