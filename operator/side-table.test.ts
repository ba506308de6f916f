// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { decide } from './mind/table.js';
import { SIDE_TABLE, type SideInput } from './side-table.js';

const STATES = ['planned', 'gone', 'ended', 'silent', 'other'] as const;
const LOSSES = ['lost', 'notLost'] as const;
const VMIS = ['absent', 'there', 'doomed'] as const;
const BOTH = [false, true];

function everyInput(): SideInput[] {
  const inputs: SideInput[] = [];
  for (const state of STATES)
    for (const loss of LOSSES)
      for (const vmi of VMIS)
        for (const pod of BOTH)
          for (const nodeReady of BOTH)
            for (const unwanted of BOTH) inputs.push({ state, loss, vmi, pod, nodeReady, unwanted });
  return inputs;
}

const actionOf = (input: SideInput): string => decide(SIDE_TABLE, input).action;
const removes = (input: SideInput): boolean => ['deleteVmi', 'forcePod'].includes(actionOf(input));

describe('an operator decides about each side', () => {
  it('by exactly one row, whatever is seen', () => {
    for (const input of everyInput()) {
      const rows = SIDE_TABLE.filter((row) => row.when(input)).map((row) => row.reason);
      expect(rows, JSON.stringify(input)).to.have.length(1);
    }
  });

  it('with no row that nothing can meet, and no reason twice', () => {
    const met = new Set(everyInput().map((input) => decide(SIDE_TABLE, input).reason));
    expect([...met]).to.have.members(SIDE_TABLE.map((row) => row.reason));
    expect(met.size).to.equal(SIDE_TABLE.length);
  });

  it('to leave alone what may be the live side on a node that is not heard, even if it is not wanted', () => {
    for (const input of everyInput()) {
      if (!removes(input) || input.nodeReady) continue;
      expect(input.state === 'ended' || input.loss === 'lost', JSON.stringify(input)).to.equal(true);
    }
  });

  it('to remove what is wanted only when it has ended, or is silent and has lost', () => {
    for (const input of everyInput()) {
      if (!removes(input) || input.unwanted) continue;
      const over = input.state === 'ended' || (input.state === 'silent' && input.loss === 'lost');
      expect(over, JSON.stringify(input)).to.equal(true);
    }
  });

  it('to remove a pod by force only from a node that is not heard, after its VMI', () => {
    for (const input of everyInput()) {
      if (actionOf(input) !== 'forcePod') continue;
      expect(input).to.include({ nodeReady: false, pod: true });
      expect(input.vmi).to.not.equal('there');
    }
  });

  it('to make what was decided and is wanted, and to forget only what is not there', () => {
    for (const input of everyInput()) {
      const action = actionOf(input);
      expect(action === 'create').to.equal(input.state === 'planned' && !input.unwanted);
      if (action === 'forget') expect(['planned', 'gone']).to.include(input.state);
    }
  });
});
