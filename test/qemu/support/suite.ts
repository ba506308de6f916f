// SPDX-License-Identifier: Apache-2.0
// A pair for the tests of one `describe`: up before them, down after them, logs kept when one fails.
import { expect } from 'chai';
import type { Context } from 'mocha';
import { pairLayout } from '../../../cli/local/layout.js';
import { takeDown } from '../../../cli/local/pair.js';
import { tellFailure } from './failure.js';
import { leftoversOf } from './leftovers.js';
import { TestPair, type TestPairChoice } from './pair.js';

export interface Suite {
  /** The pair; there from the first test on. */
  readonly pair: TestPair;
}

/**
 * To be called inside a `describe`. `rerun` is the command that repeats it, told when a test fails. Nothing of the
 * pair may be left in the end: that is a test of its own, in the hook behind the others.
 */
export function suiteWithPair(name: string, rerun: string, choice: TestPairChoice = {}): Suite {
  let pair: TestPair | undefined;
  const layout = pairLayout(name, choice.hosts);
  before(`brings pair '${name}' up`, async () => {
    try {
      pair = await TestPair.up(name, choice);
    } catch (error) {
      await tellFailure(layout, 'up', rerun);
      throw error;
    }
  });
  afterEach(async function (this: Context) {
    const test = this.currentTest;
    if (test?.state === 'failed') await tellFailure(layout, test.title, rerun);
  });
  after(`takes pair '${name}' down`, async () => {
    await takeDown(layout);
    expect(await leftoversOf(layout), 'left on this machine').to.deep.equal([]);
  });
  return {
    get pair() {
      if (pair === undefined) throw new Error('the pair is not up');
      return pair;
    },
  };
}
