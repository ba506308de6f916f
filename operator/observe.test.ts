// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { SILENT_MS_MAX, viewsOf, type LeaseView, type RawSide } from './observe.js';
import { BACKUP, PRIMARY, RECORD, sampleSide, sampleStatus } from './test/samples.js';

const MISSING: LeaseView = { kind: 'missing' };
const held = (changes: Partial<typeof RECORD> = {}): LeaseView => ({
  kind: 'present',
  record: { ...RECORD, ...changes },
});

const views = (sides: readonly RawSide[], lease: LeaseView = MISSING) => viewsOf({ sides, lease });
const kindOf = (side: RawSide): string | undefined => views([side])[0]?.kind;
const terminated = (message: string) => ({
  phase: 'Running',
  containerStatuses: [{ name: 'lockstep', state: { terminated: { exitCode: 1, message } } }],
});

describe('one side, in a word', () => {
  const A = { ...PRIMARY, uid: 'uid of db-0001', nonce: 'A' };

  it('is planned before there is anything of it, and gone when there was', () => {
    expect(kindOf(sampleSide(PRIMARY, { vmi: null, pod: null, nodeReady: null }))).to.equal('planned');
    expect(kindOf(sampleSide(A, { vmi: null, pod: null, nodeReady: null }))).to.equal('gone');
  });

  it('has ended by its VMI, its pod, its container, or its own word', () => {
    const side = sampleSide(A, { status: sampleStatus() });
    const vmi = { metadata: { name: 'x', uid: 'u', resourceVersion: '1' }, status: { phase: 'Failed' } };
    const pod = { metadata: { name: 'p', uid: 'u', resourceVersion: '1' } };
    expect(kindOf({ ...side, vmi })).to.equal('ended');
    expect(kindOf({ ...side, pod: { ...pod, status: { phase: 'Succeeded' } } })).to.equal('ended');
    expect(kindOf({ ...side, pod: { ...pod, status: terminated('') } })).to.equal('ended');
    expect(kindOf({ ...side, status: sampleStatus({ stage: 'ended' }) })).to.equal('ended');
  });

  it('finds no node only as long as it has none', () => {
    const conditions = [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' }];
    const metadata = { name: 'p', uid: 'u', resourceVersion: '1' };
    const waiting = sampleSide(PRIMARY, { pod: { metadata, status: { conditions } }, nodeReady: null });
    expect(kindOf(waiting)).to.equal('unschedulable');
    const late = { metadata, spec: { nodeName: 'n' }, status: { conditions } };
    expect(kindOf(sampleSide(PRIMARY, { pod: late, status: sampleStatus() }))).to.equal('alone');
  });

  it('is starting until its protocol runs', () => {
    for (const stage of ['waiting', 'preparing', 'starting'] as const)
      expect(kindOf(sampleSide(PRIMARY, { status: sampleStatus({ stage }) }))).to.equal('starting');
  });

  it('is silent when it has spoken before, or for long enough, or on a node that is not heard', () => {
    expect(kindOf(sampleSide(PRIMARY))).to.equal('starting');
    expect(kindOf(sampleSide(PRIMARY, { silentMs: SILENT_MS_MAX }))).to.equal('silent');
    expect(kindOf(sampleSide(PRIMARY, { nodeReady: false }))).to.equal('silent');
    expect(kindOf(sampleSide(A))).to.equal('silent');
  });

  it('is no owner any more when its backup has won: it is about to find out', () => {
    const old = sampleSide(PRIMARY, {
      status: sampleStatus({ phase: 'protected', nonce: 'A', peer: 'B' }),
    });
    const winner = sampleSide(BACKUP, { status: sampleStatus({ nonce: 'B', epoch: 2 }) });
    expect(views([old, winner]).map(({ kind }) => kind)).to.deep.equal(['deciding', 'alone']);
  });

  it('tells its last word, unless somebody else has written there', () => {
    const words = { reason: 'leaseLost', detail: 'why', nonce: 'A', epoch: 2 };
    const metadata = { name: 'p', uid: 'u', resourceVersion: '1' };
    const ended = (message: string) =>
      views([sampleSide(PRIMARY, { pod: { metadata, status: terminated(message) } })])[0]?.epitaph;
    expect(ended(JSON.stringify(words))).to.deep.equal(words);
    expect(ended('OCI runtime error')).to.equal(null);
    expect(ended('{"reason": 1}')).to.equal(null);
  });
});

describe('who has lost, by the lease', () => {
  const A = sampleSide({ ...PRIMARY, nonce: 'A' });
  const B = sampleSide({ ...BACKUP, nonce: 'B' });
  const lossesOf = (sides: readonly RawSide[], lease: LeaseView) =>
    views(sides, lease).map(({ loss }) => loss);

  it('is nobody without a record, and nobody by a store that has begun anew', () => {
    expect(lossesOf([A, B], MISSING)).to.deep.equal(['notLost', 'notLost']);
    expect(lossesOf([A, B], { kind: 'unknown', reason: 'x' })).to.deep.equal(['notLost', 'notLost']);
    const reopened = held({ epoch: 0, primary: '', winner: null });
    expect(lossesOf([A, B], reopened)).to.deep.equal(['notLost', 'notLost']);
  });

  it('is neither of an armed pair that nobody has won', () => {
    expect(lossesOf([A, B], held({ epoch: 2, backup: 'B', winner: null }))).to.deep.equal([
      'notLost',
      'notLost',
    ]);
  });

  it('is all but the winner', () => {
    expect(lossesOf([A, B], held({ epoch: 2, backup: 'B', winner: 'B' }))).to.deep.equal(['lost', 'notLost']);
  });

  it('is one whose engine is not known only if the owner is somebody else who is known', () => {
    const unknown = sampleSide(BACKUP);
    expect(lossesOf([A, unknown], held())).to.deep.equal(['notLost', 'lost']);
    expect(lossesOf([unknown], held())).to.deep.equal(['notLost']);
  });

  it('is not told by the engine of a start that libvirt may still repeat', () => {
    const starting = sampleSide(PRIMARY, { status: sampleStatus({ stage: 'starting', nonce: 'A1' }) });
    expect(lossesOf([starting], held({ primary: 'A2', winner: 'A2' }))).to.deep.equal(['notLost']);
  });
});
