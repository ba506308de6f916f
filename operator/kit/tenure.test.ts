// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import {
  ELECTION_LIMITS,
  ElectionLimitsError,
  makeElectionLimits,
  type ElectionLimits,
} from './election-limits.js';
import { ElectionSim, type SimOptions } from './test/election-sim.js';
import { Tenure, type LeaseRecord } from './tenure.js';

const record = (version: string, holder: string, durationMs: number | null = 15_000): LeaseRecord => ({
  version,
  holder,
  durationMs,
});

describe('Tenure', function () {
  this.timeout(60_000);

  const make = (): Tenure => new Tenure('me', ELECTION_LIMITS);

  it('creates what is not there, and takes what nobody holds', () => {
    expect(make().move(null, 0)).to.deep.equal({ kind: 'create' });
    expect(make().move(record('1', ''), 0)).to.deep.equal({ kind: 'take' });
  });

  it('waits for the time that the holder has written, from when the lease was seen here', () => {
    const tenure = make();
    expect(tenure.move(record('1', 'other', 20_000), 500)).to.deep.include({ kind: 'wait', ms: 20_000 });
    expect(tenure.move(record('1', 'other', 20_000), 20_499)).to.deep.include({ kind: 'wait', ms: 1 });
    expect(tenure.move(record('1', 'other', 20_000), 20_500)).to.deep.equal({ kind: 'take' });
  });

  it('each change of the lease counts anew, whatever it is', () => {
    const tenure = make();
    tenure.move(record('1', 'other'), 0);
    expect(tenure.move(record('2', 'other'), 14_999)).to.deep.include({ kind: 'wait', ms: 15_000 });
  });

  it('takes its own duration for a holder that has written none', () => {
    const { leaseDurationMs: ms } = ELECTION_LIMITS;
    expect(make().move(record('1', 'other', null), 0)).to.deep.include({ kind: 'wait', ms });
  });

  it('leads from the moment before the renewal was sent', () => {
    const tenure = make();
    expect(tenure.holds(0)).to.equal(false);
    tenure.confirmed(record('1', 'me'), 1_000, 4_000);
    expect([4_000, 10_999, 11_000].map((ms) => tenure.holds(ms))).to.deep.equal([true, true, false]);
    expect(tenure.move(record('1', 'me'), 12_000)).to.deep.equal({ kind: 'renew' });
  });

  it('a write that made no new version renews nothing', () => {
    const tenure = make();
    tenure.confirmed(record('1', 'me'), 1_000, 1_000);
    tenure.confirmed(record('1', 'me'), 9_000, 9_000);
    expect(tenure.heldUntilMs).to.equal(11_000);
  });

  it('leads no more as soon as it sees another holder', () => {
    const tenure = make();
    tenure.confirmed(record('1', 'me'), 0, 0);
    tenure.move(record('2', 'other'), 100);
    expect(tenure.holds(101)).to.equal(false);
  });

  it('a lease that was deleted may still be believed in by its holder', () => {
    const tenure = make();
    tenure.move(record('1', 'other'), 0);
    expect(tenure.move(null, 14_999)).to.deep.include({ kind: 'wait', ms: 1 });
    expect(tenure.move(null, 15_000)).to.deep.equal({ kind: 'create' });
  });

  it('a holder whose lease was deleted makes it anew', () => {
    const tenure = make();
    tenure.confirmed(record('1', 'me'), 0, 0);
    expect(tenure.move(null, 5_000)).to.deep.equal({ kind: 'create' });
    expect(tenure.holds(5_000)).to.equal(true);
  });
});

describe('election limits', function () {
  this.timeout(60_000);

  for (const change of [
    { renewDeadlineMs: 11_000 },
    { leaseDurationMs: 21_500 },
    { callTimeoutMs: 3_001 },
    { writeTimeoutMs: 11_000 },
    { retryMs: 2_001 },
    { retryMs: 0 },
    { leaseDurationMs: Number.NaN },
  ])
    it(`refuse ${JSON.stringify(change)} with a sentence`, () => {
      expect(() => makeElectionLimits(change)).to.throw(ElectionLimitsError, /must hold/);
    });
});

describe('an election in which everybody is paused at any point', function () {
  this.timeout(60_000);

  const overlaps = (seed: number, options: Partial<SimOptions> = {}): readonly string[] =>
    new ElectionSim({ seed, candidates: 3, limits: ELECTION_LIMITS, ...options }).run(600_000).overlaps;
  /** As if the relations were not asserted. */
  const broken = (change: Partial<ElectionLimits>): ElectionLimits => ({ ...ELECTION_LIMITS, ...change });

  it('never has two leaders (1,000 histories of ten minutes)', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        expect(overlaps(seed)).to.deep.equal([]);
      }),
      { numRuns: 1_000 },
    );
  }).timeout(120_000);

  it('has one again when the pauses are over', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const sim = new ElectionSim({ seed, candidates: 3, limits: ELECTION_LIMITS });
        sim.run(120_000);
        sim.calm();
        sim.run(180_000);
        expect(sim.leaders()).to.have.length(1);
        expect(sim.terms, 'there were terms at all').to.be.greaterThan(0);
      }),
      { numRuns: 200 },
    );
  });

  it('would be seen to have two if a leader held on for longer than others wait', () => {
    const found = Array.from({ length: 50 }, (_, seed) =>
      overlaps(seed, { limits: broken({ renewDeadlineMs: 28_000 }) }),
    );
    expect(found.flat()).not.to.deep.equal([]);
  });

  it('would be seen to have two if clocks ran at very different rates', () => {
    const found = Array.from({ length: 50 }, (_, seed) => overlaps(seed, { rateSpread: 0.6 }));
    expect(found.flat()).not.to.deep.equal([]);
  });
});
