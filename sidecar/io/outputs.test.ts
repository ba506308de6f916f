// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { OutputQueue, OutputRuleError } from './outputs.js';

const packet = (n: number): Buffer => Buffer.from([n]);

function queue(): {
  readonly outputs: OutputQueue;
  readonly left: number[];
  readonly waits: (number | null)[];
} {
  const left: number[] = [];
  const waits: (number | null)[] = [];
  const outputs = new OutputQueue((one, ackedAfterMs) => {
    left.push(one[0] ?? -1);
    waits.push(ackedAfterMs);
  });
  for (const n of [1, 2, 3]) outputs.add(n, n * 100, packet(n));
  return { outputs, left, waits };
}

describe('outputs that wait', () => {
  it('leave in order, and tell how long they waited for their acknowledgement', () => {
    const { outputs, left, waits } = queue();
    outputs.release(2, { by: 'ack', acked: 200 });
    expect(left).to.deep.equal([1, 2]);
    for (const ms of waits) expect(ms).to.be.at.least(0);
    expect(outputs.length).to.equal(1);
  });

  it('wait for no acknowledgement when their owner is alone', () => {
    const { outputs, left, waits } = queue();
    outputs.release(3, { by: 'owner' });
    expect(left).to.deep.equal([1, 2, 3]);
    expect(waits).to.deep.equal([null, null, null]);
  });

  it('never leave ahead of their log', () => {
    const { outputs, left } = queue();
    expect(() => {
      outputs.release(3, { by: 'ack', acked: 299 });
    }).to.throw(OutputRuleError);
    expect(left).to.deep.equal([1, 2]);
  });

  it('are forgotten when dropped', () => {
    const { outputs, left } = queue();
    outputs.drop(2);
    outputs.release(3, { by: 'owner' });
    expect(left).to.deep.equal([3]);
  });
});
