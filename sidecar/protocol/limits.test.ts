// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { LimitsError, makeLimits } from './limits.js';

describe('limits', () => {
  it('fit together as they come', () => {
    expect(makeLimits().deadAfterMs).to.equal(300);
  });

  for (const [name, value] of [
    ['beatMs', 100],
    ['tickMs', 40],
    ['reconnectGraceMs', 301],
    ['lagNoteMs', 1_000],
    ['paceMaxPermille', 1_000],
    ['shipChunkBytes', 1e9],
    ['heldOutputsMax', 0],
    ['stuckAfterMs', Number.NaN],
  ] as const) {
    it(`refuse ${name} = ${value} with a sentence`, () => {
      expect(() => makeLimits({ [name]: value })).to.throw(LimitsError, /must hold/);
    });
  }
});
