// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { withLock } from './lock.js';

describe("the test cluster's lock", () => {
  const name = `\0lockstep-test-${process.pid}`;

  it('keeps a second one out, and is free again after the first, failed or not', async () => {
    const result = await withLock(async () => {
      const second = await withLock(() => Promise.resolve('in'), name).catch((error: unknown) => error);
      expect(second).to.be.an('error').with.property('code', 'STATE');
      return 'first';
    }, name);
    expect(result).to.equal('first');
    const failed = await withLock(() => Promise.reject(new Error('no')), name).catch(
      (error: unknown) => error,
    );
    expect(failed).to.be.an('error').with.property('message', 'no');
    expect(await withLock(() => Promise.resolve('in'), name)).to.equal('in');
  });
});
