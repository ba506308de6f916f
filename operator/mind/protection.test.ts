// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { PROTECTION_TABLE, type ProtectionInput } from './protection.js';
import type { Lead } from './sides.js';
import { decide } from './table.js';

const BOTH = [false, true];
const LEADS: readonly Lead[] = ['none', 'alone', 'pairing', 'guarded', 'two'];
const FLAGS = ['wanted', 'pending', 'mute', 'spare', 'backingOff', 'unborn', 'asked', 'storeAway'] as const;

/** All there are: each lead with each flag on and off. */
function everyInput(): ProtectionInput[] {
  const flags = FLAGS.reduce<Record<string, boolean>[]>(
    (made, flag) => made.flatMap((input) => BOTH.map((value) => ({ ...input, [flag]: value }))),
    [{}],
  );
  return LEADS.flatMap((lead) => flags.map((input) => ({ ...input, lead }) as ProtectionInput));
}

const reasonOf = (input: ProtectionInput): string => decide(PROTECTION_TABLE, input).reason;

describe('a controller decides about protection', () => {
  it('by exactly one row, whatever is seen', () => {
    for (const input of everyInput()) {
      const rows = PROTECTION_TABLE.filter((row) => row.when(input)).map((row) => row.reason);
      expect(rows, JSON.stringify(input)).to.have.length(1);
    }
  });

  it('with no row that nothing can meet, and no reason twice', () => {
    const met = new Set(everyInput().map(reasonOf));
    expect([...met]).to.have.members(PROTECTION_TABLE.map((row) => row.reason));
    expect(met.size).to.equal(PROTECTION_TABLE.length);
  });

  it('to start the VM only where no side runs it, is about to, or does not answer, and where there is room', () => {
    for (const input of everyInput()) {
      const { action } = decide(PROTECTION_TABLE, input);
      if (action !== 'found' && action !== 'refound') continue;
      const must = { lead: 'none', pending: false, mute: false, storeAway: false };
      expect(input).to.include({ ...must, spare: true, backingOff: false });
      expect(action === 'found' ? input.unborn : input.asked && !input.unborn).to.equal(true);
    }
  });

  it('to make a backup only for a VM that runs alone, where there is room, when it is wanted', () => {
    for (const input of everyInput()) {
      if (decide(PROTECTION_TABLE, input).action !== 'startBackup') continue;
      const must = { lead: 'alone', wanted: true, pending: false, spare: true, backingOff: false };
      expect(input).to.include(must);
    }
  });
});
