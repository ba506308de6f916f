// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { reconciled, type HostKind, type HostView } from './observe.js';

const view = (name: string, kind: HostKind, nonce: string, peer: string | null): HostView => ({
  name,
  kind,
  agent: null,
  sidecar: {
    role: 'primary',
    phase: kind === 'guarded' ? 'protected' : 'alone',
    epoch: 2,
    nonce,
    peer,
    protection: { word: 'Not Protected' },
    numbers: null,
    lease: null,
  },
});

const kinds = (...views: HostView[]): HostKind[] => reconciled(views).map(({ kind }) => kind);

describe('one picture of two hosts', () => {
  it('takes a protected primary whose backup has won for one that is about to find out', () => {
    expect(kinds(view('a', 'guarded', 'p', 'b'), view('b', 'alone', 'b', null))).to.deep.equal([
      'deciding',
      'alone',
    ]);
    expect(kinds(view('a', 'pairing', 'b', 'n'), view('b', 'guarded', 'p', 'b'))).to.deep.equal([
      'pairing',
      'deciding',
    ]);
  });

  it('never hides two owners of which neither is the backup of the other', () => {
    expect(kinds(view('a', 'guarded', 'p', 'x'), view('b', 'alone', 'b', null))).to.deep.equal([
      'guarded',
      'alone',
    ]);
    expect(kinds(view('a', 'alone', 'p', null), view('b', 'alone', 'b', null))).to.deep.equal([
      'alone',
      'alone',
    ]);
  });
});
