// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { Cleanup } from './cleanup.js';

describe('bench cleanup', () => {
  it('undoes in reverse order, each once', async () => {
    const done: string[] = [];
    const cleanup = new Cleanup();
    cleanup.add(() => done.push('first'));
    const now = cleanup.add(() => done.push('second'));
    cleanup.add(() => done.push('third'));
    await now();
    await now();
    expect(await cleanup.run()).to.deep.equal([]);
    expect(await cleanup.run()).to.deep.equal([]);
    expect(done).to.deep.equal(['second', 'third', 'first']);
  });

  it('goes on when something can not be undone, and tells', async () => {
    const done: string[] = [];
    const cleanup = new Cleanup();
    cleanup.add(() => done.push('first'));
    cleanup.add(() => Promise.reject(new Error('stuck')));
    expect(await cleanup.run()).to.deep.equal(['stuck']);
    expect(done).to.deep.equal(['first']);
  });
});
