// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { OutputGate } from './gate.js';
import { InvariantError } from '../invariant.js';
import { makeLimits } from '../limits.js';

const LIMITS = makeLimits({ heldOutputsMax: 4, heldBytesMax: 1_000, digestsMax: 10 });

function gateWith(...heads: readonly number[]): OutputGate {
  const gate = new OutputGate(LIMITS, 0);
  heads.forEach((head, i) => gate.put({ index: i + 1, head, bytes: 10 }));
  return gate;
}

describe('output gate', () => {
  it('lets nothing out until somebody is known to own the VM', () => {
    const gate = gateWith(10);
    gate.acknowledge(100);
    expect(gate.release()).to.equal(null);
  });

  it('lets the sole owner send at once', () => {
    const gate = gateWith(10, 20);
    gate.setRule('owner');
    expect(gate.release()).to.deep.equal({ through: 2, limit: { by: 'owner' } });
  });

  it('lets an output out exactly when all log before it is acknowledged', () => {
    const gate = gateWith(10, 20);
    gate.setRule('ack', 9);
    expect(gate.release()).to.equal(null);
    gate.acknowledge(10);
    expect(gate.release()).to.deep.equal({ through: 1, limit: { by: 'ack', acked: 10 } });
    gate.acknowledge(19);
    expect(gate.release()).to.equal(null);
  });

  it('forgets acknowledgements of before when the rule changes', () => {
    const gate = gateWith();
    gate.setRule('ack', 50);
    gate.setRule('nobody');
    gate.setRule('ack', 5);
    gate.put({ index: 1, head: 10, bytes: 1 });
    expect(gate.release()).to.equal(null);
  });

  it('lets nothing out while suspended', () => {
    const gate = gateWith(10);
    gate.setRule('ack', 10);
    gate.suspend(true);
    expect(gate.release()).to.equal(null);
    gate.suspend(false);
    expect(gate.release()).to.not.equal(null);
  });

  it('is full at its bound and eased only well below it', () => {
    const gate = gateWith(10, 20, 30, 40);
    expect(gate.full).to.equal(true);
    gate.setRule('ack', 20);
    gate.release();
    expect(gate.full).to.equal(true);
    gate.acknowledge(30);
    gate.release();
    expect(gate.full).to.equal(false);
    expect(gate.heldBytes).to.equal(10);
  });

  it('refuses an output out of order', () => {
    expect(() => gateWith(10).put({ index: 3, head: 20, bytes: 1 })).to.throw(InvariantError);
  });

  it('never releases beyond what was acknowledged, whatever comes in whatever order', () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant('output' as const), by: fc.nat(20) }),
      fc.record({ kind: fc.constant('ack' as const), by: fc.nat(30) }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const gate = new OutputGate(LIMITS, 0);
        gate.setRule('ack', 0);
        const heads: number[] = [];
        let head = 0;
        let acked = 0;
        for (const { kind, by } of actions) {
          if (kind === 'output') {
            head += by;
            heads.push(head);
            gate.put({ index: heads.length, head, bytes: 1 });
          } else {
            acked += by;
            gate.acknowledge(acked);
          }
          const release = gate.release();
          const out = heads.length - gate.heldOutputs;
          expect(heads.slice(0, out).every((one) => one <= acked)).to.equal(true);
          expect(heads.slice(out).every((one) => one > acked)).to.equal(true);
          if (release !== null) expect(release.through).to.equal(out);
        }
      }),
    );
  });
});
