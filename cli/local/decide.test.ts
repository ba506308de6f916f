// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { PROTECTION_TABLE } from '../../operator/mind/protection.js';
import { leadOf } from '../../operator/mind/sides.js';
import { decide } from '../../operator/mind/table.js';
import { HOST_TABLE, protectionInput, type HostInput } from './decide.js';
import { HOST_KINDS } from './observe.js';

const BOTH = [false, true];

function everyHostInput(): HostInput[] {
  return HOST_KINDS.flatMap((kind) =>
    BOTH.flatMap((poweredOff) =>
      BOTH.flatMap((rebootDue) => BOTH.map((busy) => ({ kind, poweredOff, rebootDue, busy }))),
    ),
  );
}

describe('the controller decides', () => {
  it('by exactly one row about a host, whatever is seen', () => {
    for (const input of everyHostInput()) {
      const rows = HOST_TABLE.filter((row) => row.when(input)).map((row) => row.reason);
      expect(rows, JSON.stringify(input)).to.have.length(1);
    }
  });

  it('to make a backup only for a VM that runs alone, on a free host, when it is wanted', () => {
    const kind = fc.constantFrom(...HOST_KINDS);
    const order = fc.constantFrom('none' as const, 'backup' as const, 'other' as const);
    const hosts = fc.array(fc.record({ kind, order }), { minLength: 2, maxLength: 4 });
    fc.assert(
      fc.property(hosts, fc.boolean(), fc.boolean(), (seen, wanted, backingOff) => {
        const input = protectionInput({ hosts: seen, wanted, backingOff });
        const { action } = decide(PROTECTION_TABLE, input);
        if (action === 'none') return;
        expect(wanted && !backingOff).to.equal(true);
        expect(leadOf(seen.map((host) => host.kind))).to.equal('alone');
        expect(seen.some((host) => host.kind === 'idle' && host.order === 'none')).to.equal(true);
        expect(seen.some((host) => host.kind === 'backup' || host.order === 'backup')).to.equal(false);
      }),
    );
  });

  it('to leave a host that shall stay off without power', () => {
    const row = decide(HOST_TABLE, { kind: 'dead', poweredOff: true, rebootDue: true, busy: false });
    expect(row.action).to.equal('none');
  });

  it('to shout when two sides run the VM', () => {
    const hosts = [
      { kind: 'alone' as const, order: 'none' as const },
      { kind: 'guarded' as const, order: 'none' as const },
    ];
    const row = decide(PROTECTION_TABLE, protectionInput({ hosts, wanted: true, backingOff: false }));
    expect(row.reason).to.equal('TwoOwners');
  });
});
