// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { Account } from './account.js';

function account(): Account {
  return new Account(
    {
      vm: 'vm',
      host: 'a',
      nonce: 'aa',
      start: { role: 'primary', coldStart: { kind: 'found' } },
      log: { format: 'json', level: 'error' },
    },
    { status: () => null, numbers: () => null, ring: () => null, droppedIngress: () => 0, disks: () => null },
  );
}

const journal = (told: Account) => told.status()['journal'] as { reason: string }[];

describe('what a sidecar tells of itself', () => {
  it('has the resets of its machine, and nothing else that its monitor says', () => {
    const told = account();
    for (const event of ['RESUME', 'RESET', 'SHUTDOWN']) told.engineEvent(event);
    expect(journal(told).map(({ reason }) => reason)).to.deep.equal(['guestReset']);
  });

  it('says nothing else of a VM whose machine was reset than before', () => {
    const told = account();
    const rest = () => ({ ...told.status(), journal: null });
    const before = rest();
    told.engineEvent('RESET');
    expect(rest()).to.deep.equal(before);
  });
});
