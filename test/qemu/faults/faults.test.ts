// SPDX-License-Identifier: Apache-2.0
// The fault matrix (docs/protocol.md) on real processes. All rows are played on one pair, one after the other, with
// one client whose connection lasts through all of them. `npm run test:faults -- --all` plays every row.
import { expect } from 'chai';
import type { Context } from 'mocha';
import { pairLayout } from '../../../cli/local/layout.js';
import { takeDown } from '../../../cli/local/pair.js';
import { tellFailure } from '../support/failure.js';
import { leftoversOf } from '../support/leftovers.js';
import { Outcomes } from './outcomes.js';
import { ROWS } from './rows.js';
import { titleOf } from './row.js';
import { Stage } from './stage.js';

const PAIR = 'faults';
const RERUN = 'npm run test:faults -- --all --grep ';
const ALL = process.env['LOCKSTEP_FAULTS'] === 'all';

describe('fault matrix', function () {
  this.timeout(180_000);
  const layout = pairLayout(PAIR);
  const outcomes = new Outcomes();
  let stage: Stage | undefined;

  beforeEach('a pair, from the row before or a new one', async () => {
    stage ??= await Stage.up(PAIR);
  });

  afterEach('a row that failed leaves no pair to the next', async function (this: Context) {
    const test = this.currentTest;
    stage?.loaded(false);
    if (test?.state !== 'failed') return;
    outcomes.failed(test.title, test.err?.message ?? 'failed');
    await tellFailure(layout, test.title, `${RERUN}${JSON.stringify(test.title)}`);
    await stage?.down();
    stage = undefined;
  });

  after('nothing is left', async () => {
    await stage?.down();
    await takeDown(layout);
    expect(await leftoversOf(layout), 'left on this machine').to.deep.equal([]);
  });

  for (const row of ROWS.filter((one) => ALL || one.quick === true)) {
    it(titleOf(row), async () => {
      if (stage === undefined) throw new Error('no pair');
      await stage.protected();
      stage.loaded(row.load === true);
      await stage.serves();
      const wire = await stage.watchWire();
      const told = await row.play(stage);
      stage.loaded(false);
      const status = await stage.recovers();
      await stage.serves();
      const verdict = await wire.end(row.moves);
      expect(verdict.contradictions, 'packets of a side that had lost').to.deep.equal([]);
      outcomes.passed(titleOf(row), { told, verdict, epoch: status.epoch });
    });
  }
});
