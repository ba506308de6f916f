// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { ConditionError, conditionSet, type ConditionStatus, type Verdict } from './conditions.js';

const set = conditionSet('Ready', 'Stalled');
const yes: Verdict = { status: 'True', reason: 'Fine', message: 'all is well' };
const no: Verdict = { status: 'False', reason: 'NotFine', message: 'it is not' };
const at = (second: number): Date => new Date(Date.UTC(2030, 0, 1, 0, 0, second, 123));

describe('conditions', () => {
  it('are all there, in their order, at whole seconds', () => {
    const conditions = set.merge(undefined, { Stalled: no, Ready: yes }, { generation: 3, now: at(0) });
    expect(conditions).to.deep.equal([
      { type: 'Ready', ...yes, observedGeneration: 3, lastTransitionTime: '2030-01-01T00:00:00Z' },
      { type: 'Stalled', ...no, observedGeneration: 3, lastTransitionTime: '2030-01-01T00:00:00Z' },
    ]);
  });

  it('keep their time for as long as their status stays', () => {
    const first = set.merge(undefined, { Ready: yes, Stalled: no }, { generation: 1, now: at(0) });
    const reworded = { ...yes, reason: 'Better' };
    const second = set.merge(first, { Ready: reworded, Stalled: yes }, { generation: 2, now: at(5) });
    expect(second.map((one) => one.lastTransitionTime)).to.deep.equal([
      '2030-01-01T00:00:00Z',
      '2030-01-01T00:00:05Z',
    ]);
    expect(set.find(second, 'Ready')).to.include({ reason: 'Better', observedGeneration: 2 });
  });

  it('leave those of others alone, and do not care for their order', () => {
    const ours = set.merge(undefined, { Ready: yes, Stalled: no }, { generation: 1, now: at(0) });
    const foreign = { type: 'Foreign', ...yes, observedGeneration: 1, lastTransitionTime: '' };
    const stored = [foreign, ...ours].reverse();
    expect(set.equal(stored, ours)).to.equal(true);
    expect(set.merge(stored, { Ready: yes, Stalled: no }, { generation: 1, now: at(9) })).to.deep.equal(ours);
  });

  it('one that is not there yet is a difference', () => {
    const ours = set.merge(undefined, { Ready: yes, Stalled: no }, { generation: 1, now: at(0) });
    expect(set.equal(undefined, ours)).to.equal(false);
    expect(set.equal(ours.slice(1), ours)).to.equal(false);
  });

  it('merged twice are equal; merged with any change are not', () => {
    const status = fc.constantFrom<ConditionStatus>('True', 'False', 'Unknown');
    const verdict = fc.record({ status, reason: fc.constantFrom('A', 'B'), message: fc.string() });
    fc.assert(
      fc.property(verdict, verdict, verdict, (a, b, c) => {
        const before = set.merge(undefined, { Ready: a, Stalled: b }, { generation: 1, now: at(0) });
        const again = set.merge(before, { Ready: a, Stalled: b }, { generation: 1, now: at(7) });
        expect(set.equal(before, again)).to.equal(true);
        const next = set.merge(before, { Ready: c, Stalled: b }, { generation: 1, now: at(7) });
        const same = c.status === a.status && c.reason === a.reason && c.message === a.message;
        expect(set.equal(before, next)).to.equal(same);
      }),
    );
  });

  it('cut a message that the API would refuse', () => {
    const long = { ...yes, message: 'x'.repeat(40_000) };
    const [ready] = set.merge(undefined, { Ready: long, Stalled: no }, { generation: 1, now: at(0) });
    expect(ready?.message).to.have.length(32_768);
  });

  it('refuse what can never be written', () => {
    expect(() => conditionSet('Ready', 'Ready')).to.throw(ConditionError, /twice/);
    expect(() => conditionSet('no type')).to.throw(ConditionError, /no type/);
    const worded = { ...yes, reason: 'two words' };
    const merge = (): unknown =>
      set.merge(undefined, { Ready: worded, Stalled: no }, { generation: 1, now: at(0) });
    expect(merge).to.throw(ConditionError, /two words/);
    expect(conditionSet('example.org/Ready').types).to.have.length(1);
  });
});
