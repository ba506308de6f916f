// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { makeLimits } from '../limits.js';
import { RetainedOutputs } from './retained.js';

const LIMITS = makeLimits({ heldOutputsMax: 4, digestsMax: 4, holdSlackOutputs: 1 });

describe('retained outputs', () => {
  it('compares in either order', () => {
    const outputs = new RetainedOutputs(LIMITS);
    expect(outputs.digest(1, 10, 'a')).to.equal('fine');
    expect(outputs.output('a', 1)).to.equal('fine');
    expect(outputs.output('b', 1)).to.equal('fine');
    expect(outputs.digest(2, 20, 'b')).to.equal('fine');
    expect(outputs.compared).to.equal(2);
  });

  it('finds a difference, whichever comes first', () => {
    const ahead = new RetainedOutputs(LIMITS);
    ahead.digest(1, 10, 'a');
    expect(ahead.output('x', 1)).to.equal('divergence');
    const behind = new RetainedOutputs(LIMITS);
    behind.output('x', 1);
    expect(behind.digest(1, 10, 'a')).to.equal('divergence');
  });

  it('takes digests that come again after a broken connection', () => {
    const outputs = new RetainedOutputs(LIMITS);
    outputs.digest(1, 10, 'a');
    expect(outputs.digest(1, 10, 'a')).to.equal('fine');
  });

  it('takes a gap in the digests for divergence', () => {
    expect(new RetainedOutputs(LIMITS).digest(2, 10, 'a')).to.equal('divergence');
  });

  it('keeps what is not known to be released, and drops what is, also if told before', () => {
    const outputs = new RetainedOutputs(LIMITS);
    outputs.output('a', 1);
    expect(outputs.drop()).to.equal(null);
    outputs.released(2);
    expect(outputs.drop()).to.equal(1);
    outputs.output('b', 1);
    outputs.output('c', 1);
    expect(outputs.drop()).to.equal(2);
    expect(outputs.retained).to.equal(1);
  });

  it('owes the outputs of log replayed whose digests have come', () => {
    const outputs = new RetainedOutputs(LIMITS);
    outputs.digest(1, 50, 'a');
    expect(outputs.owes(49)).to.equal(false);
    expect(outputs.owes(50)).to.equal(true);
    outputs.output('a', 1);
    expect(outputs.owes(50)).to.equal(false);
  });

  it('says when there are too many', () => {
    const outputs = new RetainedOutputs(LIMITS);
    const results = Array.from({ length: 7 }, () => outputs.output('a', 1));
    expect(results.at(-2)).to.equal('fine');
    expect(results.at(-1)).to.equal('overflow');
  });
});
