// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { FtvmStatus, StoredFtvm } from './api/ftvm.js';
import { decideVm } from './decide.js';
import { changesOf } from './events.js';
import { NOT_ASKED, type LeaseView, type Observation, type RawSide } from './observe.js';
import { sameStatus, statusOf } from './status.js';
import { BACKUP, PRIMARY, RECORD, sampleFtvm, sampleSide, sampleStatus } from './test/samples.js';

const NOW = new Date('2030-01-01T00:00:07.890Z');

interface Seen {
  readonly ftvm?: StoredFtvm;
  readonly lease?: LeaseView;
  readonly failure?: Error | null;
}

function told(
  sides: readonly RawSide[],
  { ftvm = sampleFtvm(), lease = NOT_ASKED, failure = null }: Seen = {},
) {
  const observation: Observation = { ftvm, sides, secrets: [], lease, now: NOW };
  return statusOf(observation, decideVm(observation, 'db-0009'), failure);
}

const conditionOf = (status: FtvmStatus, type: string) =>
  status.conditions?.find((condition) => condition.type === type);
const truthOf = (status: FtvmStatus): Record<string, string> =>
  Object.fromEntries((status.conditions ?? []).map(({ type, status: is }) => [type, is]));

const alone = sampleSide(PRIMARY, { status: sampleStatus() });
const guarded = sampleSide(PRIMARY, {
  status: sampleStatus({
    phase: 'protected',
    epoch: 2,
    peer: 'B',
    protection: { word: 'Protected' },
    numbers: { lagMs: 3, heldOutputs: 0, pacePermille: 1_000 },
  }),
});
const armed = sampleSide(BACKUP, {
  status: sampleStatus({ role: 'backup', phase: 'armed', nonce: 'B', epoch: 2, vmi: 'db-0002' }),
});

describe('the status of a VM', () => {
  it('has Ready first, all conditions, and says of which generation it speaks', () => {
    const status = told([guarded, armed]);
    expect(status.conditions?.map(({ type }) => type)).to.deep.equal([
      'Ready',
      'Protected',
      'Reconciling',
      'Stalled',
    ]);
    expect(status.observedGeneration).to.equal(3);
    for (const { observedGeneration } of status.conditions ?? []) expect(observedGeneration).to.equal(3);
  });

  it('of a protected VM: settled, with both places', () => {
    const status = told([guarded, armed]);
    expect(truthOf(status)).to.deep.equal({
      Ready: 'True',
      Protected: 'True',
      Reconciling: 'False',
      Stalled: 'False',
    });
    expect(status).to.deep.include({ status: 'Protected', epoch: 2, lag: 'green' });
    expect(status.primary).to.deep.equal({ vmi: 'db-0001', node: 'node of db-0001' });
    expect(status.backup).to.deep.equal({ vmi: 'db-0002', node: 'node of db-0002' });
  });

  it('of a VM that gets its backup: it runs, and something is under way', () => {
    const status = told([alone]);
    expect(truthOf(status)).to.deep.equal({
      Ready: 'True',
      Protected: 'False',
      Reconciling: 'True',
      Stalled: 'False',
    });
    expect(status.status).to.equal('Need Secondary VM');
    expect(conditionOf(status, 'Protected')?.reason).to.equal('initializing');
    expect(
      status.sides?.map(({ vmi }) => vmi),
      'the plan is in it',
    ).to.deep.equal(['db-0001', 'db-0009']);
  });

  it('of a VM that shall have no backup: settled', () => {
    const protection = { word: 'Not Protected' as const, state: 'Disabled', reason: 'userAction' };
    const side = sampleSide(PRIMARY, { status: sampleStatus({ protection }) });
    const status = told([side], { ftvm: sampleFtvm({ spec: { suspended: true } }) });
    expect(status.status).to.equal('Disabled');
    expect(truthOf(status)).to.include({
      Ready: 'True',
      Protected: 'False',
      Reconciling: 'False',
      Stalled: 'False',
    });
  });

  it('is never both Reconciling and Stalled, and never Ready without an owner', () => {
    const worlds: readonly [readonly RawSide[], Seen][] = [
      [[], {}],
      [[], { lease: { kind: 'missing' } }],
      [[], { lease: { kind: 'present', record: RECORD }, ftvm: sampleFtvm({ status: { epoch: 1 } }) }],
      [[alone], {}],
      [[guarded, armed], { failure: new Error('refused') }],
      [[sampleSide(PRIMARY, { nodeReady: false })], {}],
      [[alone, sampleSide(BACKUP, { status: sampleStatus({ nonce: 'B' }) })], {}],
    ];
    for (const [sides, seen] of worlds) {
      const truth = truthOf(told(sides, seen));
      expect([truth['Reconciling'], truth['Stalled']], JSON.stringify(truth)).to.not.deep.equal([
        'True',
        'True',
      ]);
      if (sides.every(({ status }) => status === null)) expect(truth['Ready']).to.equal('False');
    }
  });

  it('says what a person can type when nobody but a person can start the VM', () => {
    const ftvm = sampleFtvm({ status: { epoch: 7 } });
    const status = told([], { ftvm, lease: { kind: 'present', record: { ...RECORD, epoch: 7 } } });
    expect(status.status).to.equal('VM not Running');
    expect(conditionOf(status, 'Stalled')?.message).to.contain(
      'kubectl annotate ftvm db -n shop --overwrite lockstep.dev/cold-start=7',
    );
  });

  it('says what could not be done, and what the API server has said about it', () => {
    const failure = Object.assign(new Error('quota exceeded'), { code: 'Forbidden' });
    const status = told([alone], { failure });
    expect(conditionOf(status, 'Stalled')).to.include({
      status: 'True',
      reason: 'Forbidden',
      message: 'quota exceeded',
    });
  });

  it('tells the lag as a level: a number would be written all the time', () => {
    const at = (lagMs: number): unknown => {
      const numbers = { lagMs, heldOutputs: 0, pacePermille: 1_000 };
      const status = guarded.status === null ? null : { ...guarded.status, numbers };
      return told([{ ...guarded, status }, armed]).lag;
    };
    expect([3, 999, 1_001, 3_001].map(at)).to.deep.equal(['green', 'green', 'yellow', 'red']);
  });

  it('keeps a failover as it was first told', () => {
    const lastFailover = { at: '2030-01-01T00:00:01.000Z', goLiveMs: 41.6 };
    const protection = {
      word: 'Not Protected' as const,
      state: 'Need Secondary VM',
      reason: 'lostConnection',
    };
    const live = sampleSide(PRIMARY, { status: sampleStatus({ lastFailover, protection }) });
    const first = told([live]);
    expect(first.lastFailover).to.deep.equal({ time: lastFailover.at, cause: 'lostConnection', gapMs: 42 });
    const later = sampleSide(PRIMARY, {
      status: sampleStatus({ lastFailover, phase: 'protected', protection: { word: 'Protected' } }),
    });
    expect(told([later], { ftvm: sampleFtvm({ status: first }) }).lastFailover).to.deep.equal(
      first.lastFailover,
    );
  });

  it('is not written again when nothing has changed', () => {
    const before = told([guarded, armed]);
    const ftvm = sampleFtvm({ status: JSON.parse(JSON.stringify(before)) as FtvmStatus });
    const observation: Observation = {
      ftvm,
      sides: [guarded, armed].map((raw) => ({
        ...raw,
        side: before.sides?.find(({ vmi }) => vmi === raw.side.vmi) ?? raw.side,
      })),
      secrets: [],
      lease: NOT_ASKED,
      now: new Date(NOW.getTime() + 3_600_000),
    };
    const after = statusOf(observation, decideVm(observation, 'db-000a'), null);
    expect(sameStatus(before, after)).to.equal(true);
    expect(sameStatus(before, { ...after, epoch: 3 })).to.equal(false);
  });

  it('of a backup that waits for the lease store: what it says of it, and nothing of a store that was not asked', () => {
    const waiting = (lease: string | null) =>
      sampleSide(BACKUP, {
        status: sampleStatus({
          role: 'backup',
          phase: 'claiming',
          nonce: 'B',
          epoch: 2,
          vmi: 'db-0002',
          lease,
        }),
      });
    const words = (lease: string | null) => conditionOf(told([waiting(lease)]), 'Protected')?.message ?? '';
    expect(words('claim: it does not answer')).to.include('the lease store: claim: it does not answer');
    expect(words(null)).to.not.include('lease store');
  });

  it('of a side whose pod KubeVirt cannot make: stalled, in the words of the API server', () => {
    const message = 'exceeded quota: pods, requested: pods=1, used: pods=4, limited: pods=4';
    const refused = { type: 'Synchronized', status: 'False', reason: 'FailedCreate', message };
    const { vmi } = armed;
    const waiting = sampleSide(BACKUP, {
      pod: null,
      vmi: vmi && { ...vmi, status: { phase: 'Pending', conditions: [refused] } },
    });
    const status = told([alone, waiting]);
    const stalled = conditionOf(status, 'Stalled');
    expect([stalled?.status, stalled?.reason]).to.deep.equal(['True', 'PodRefused']);
    expect(stalled?.message).to.equal(`db-0002 gets no pod: ${message}`);
    expect(conditionOf(status, 'Protected')?.message).to.include(message);
  });

  it('counts attempts that fail, and forgets them with a new epoch', () => {
    const ended = { ...armed, vmi: null, pod: null, status: sampleStatus({ stage: 'ended', nonce: 'B' }) };
    const failed = told([alone, { ...ended, vmi: armed.vmi }]);
    expect(failed.retry).to.deep.equal({ failures: 1, since: '2030-01-01T00:00:07Z' });
    expect(
      failed.sides?.map(({ vmi }) => vmi),
      'no new attempt in the same look',
    ).to.deep.equal(['db-0001', 'db-0002']);
    const ftvm = sampleFtvm({ status: { ...failed, epoch: 1 } });
    expect(told([guarded, armed], { ftvm }).retry).to.equal(undefined);
  });
});

describe('events', () => {
  it('tell each change of role, with the words of the condition', () => {
    const before = told([alone]);
    const after = told([guarded, armed], { ftvm: sampleFtvm({ status: before }) });
    const protectedNow = changesOf(before, after);
    expect(protectedNow).to.deep.equal([
      {
        type: 'Normal',
        reason: 'Protected',
        note: conditionOf(after, 'Protected')?.message,
        change: 'Protected True after 2030-01-01T00:00:07Z',
      },
    ]);
    const live = sampleSide(BACKUP, { status: sampleStatus({ nonce: 'B', epoch: 2 }) });
    const failedOver = changesOf(after, told([live], { ftvm: sampleFtvm({ status: after }) }));
    expect(failedOver.map(({ type, reason }) => `${type} ${reason}`)).to.deep.equal([
      'Normal WentLive',
      'Warning initializing',
    ]);
    expect(failedOver[0]?.note).to.contain('db-0002 runs the VM on node of db-0002, epoch 2');
  });

  it('are none when nothing has changed', () => {
    const status = told([guarded, armed]);
    expect(changesOf(status, status)).to.deep.equal([]);
  });
});
