// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { Detector } from './detector.js';
import { makeLimits } from './limits.js';

const LIMITS = makeLimits();

/** Beats every 50 ms from `from` to `to`; the peer answers those that `hears`. */
function beat(detector: Detector, from: number, to: number, peer: 'answers' | 'deaf' | 'silent'): void {
  for (let now = from; now <= to; now += LIMITS.beatMs) {
    const sent = detector.beat(now);
    if (peer === 'silent') continue;
    detector.heard(now);
    if (sent !== null) detector.heardBeat(sent.seq, peer === 'answers' ? sent.seq : 0);
  }
}

describe('failure detector', () => {
  it('trusts a peer that answers', () => {
    const detector = new Detector(LIMITS, 0);
    beat(detector, 0, 2_000, 'answers');
    expect(detector.judge(2_000)).to.equal(null);
  });

  it('declares silence after deadAfterMs, and not before', () => {
    const detector = new Detector(LIMITS, 0);
    beat(detector, 0, 1_000, 'answers');
    expect(detector.judge(1_300)).to.equal(null);
    expect(detector.judge(1_301)).to.equal('silence');
  });

  it('does not count time in which this process did not listen as silence', () => {
    const detector = new Detector(LIMITS, 0);
    for (let now = 0; now <= 1_000; now += LIMITS.tickMs) {
      detector.tick(now);
      if (now % LIMITS.beatMs === 0) beat(detector, now, now, 'answers');
    }
    detector.tick(1_310); // a stall shorter than deadAfterMs, and the peer's last beat a little before it
    expect(detector.judge(1_310)).to.equal(null);
    for (let now = 1_320; now <= 1_310 + LIMITS.deadAfterMs; now += LIMITS.tickMs) detector.tick(now);
    expect(detector.judge(1_310 + LIMITS.deadAfterMs)).to.equal('silence');
  });

  it('notices that it is not heard, although it hears', () => {
    const detector = new Detector(LIMITS, 0);
    beat(detector, 0, 500, 'deaf');
    expect(detector.judge(500)).to.equal('notHeard');
  });

  it('gives a broken connection its grace', () => {
    const detector = new Detector(LIMITS, 0);
    beat(detector, 0, 1_000, 'answers');
    detector.linkDown(1_000);
    expect(detector.judge(1_100)).to.equal(null);
    expect(detector.judge(1_101)).to.equal('lostConnection');
  });

  it('confirms a broken connection by a failed dial at once', () => {
    const detector = new Detector(LIMITS, 0);
    detector.linkDown(1);
    detector.dialFailed();
    expect(detector.judge(2)).to.equal('lostConnection');
  });

  it('takes a failed dial for nothing while the connection stands', () => {
    const detector = new Detector(LIMITS, 0);
    detector.dialFailed();
    expect(detector.judge(1)).to.equal(null);
  });

  it('starts afresh when the connection stands again', () => {
    const detector = new Detector(LIMITS, 0);
    detector.linkDown(10);
    detector.dialFailed();
    detector.linkUp(20);
    expect(detector.judge(200)).to.equal(null);
  });

  it('suspects its peer after a stall of its own, until a later beat comes back', () => {
    const detector = new Detector(LIMITS, 0);
    const before = detector.beat(0);
    detector.ownStall(5_000);
    expect(detector.suspect).to.equal(true);
    detector.heardBeat(1, before?.seq ?? 0);
    expect(detector.suspect, 'an echo of a beat sent before the stall proves nothing').to.equal(true);
    const after = detector.beat(5_000);
    detector.heardBeat(2, after?.seq ?? 0);
    expect(detector.suspect).to.equal(false);
  });

  it('counts silence on over stalls of its own, however many', () => {
    const detector = new Detector(LIMITS, 0);
    let now = 0;
    let listenedMs = 0;
    while (detector.judge(now) === null && now < 120_000) {
      for (const end = now + 250; now < end && detector.judge(now) === null; now += LIMITS.tickMs) {
        detector.tick(now);
        listenedMs += LIMITS.tickMs;
      }
      if (detector.judge(now) !== null) break;
      now += 310;
      detector.ownStall(310);
    }
    expect(detector.judge(now)).to.equal('ownStall');
    expect(listenedMs, 'and nothing but what was listened to').to.be.within(
      LIMITS.deadAfterMs,
      LIMITS.deadAfterMs + 3 * LIMITS.tickMs,
    );
  });

  it('does not make good for a stall of its own twice', () => {
    const detector = new Detector(LIMITS, 0);
    beat(detector, 0, 1_000, 'answers');
    detector.tick(1_000);
    detector.ownStall(5_000);
    detector.tick(6_000);
    expect(detector.heardAge(6_000)).to.equal(0);
    expect(detector.heardAge(6_100)).to.equal(100);
  });

  it('gives up a suspect that does not answer', () => {
    const detector = new Detector(LIMITS, 0);
    detector.ownStall(5_000);
    beat(detector, 5_000, 5_450, 'deaf');
    expect(detector.judge(5_450)).to.equal('ownStall');
  });
});
