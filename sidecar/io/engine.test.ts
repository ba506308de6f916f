// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { RingSnapshot, RingState } from '../../native/addon/index.js';
import { Engine } from './engine.js';

/** The control page of a recorder, and how often all of it was read. */
class FakeRing {
  closed = false;
  state: RingState = 'recording';
  produced = 0;
  consumed = 0;
  netLogged = 0;
  reads = 0;
  page: Partial<RingSnapshot> = { cloneAttempt: 0, cloneState: 'none', qemuBeat: 0 };

  snapshot(): RingSnapshot {
    this.reads += 1;
    return this.page as RingSnapshot;
  }

  watch(): void {
    // Each test looks by itself.
  }

  reachPoint(cloneLsn: number, cloneFrames: number): void {
    const cloneAttempt = (this.page.cloneAttempt ?? 0) + 1;
    this.page = { ...this.page, cloneAttempt, cloneState: 'point', cloneLsn, cloneFrames };
  }
}

class Recorder {
  readonly ring = new FakeRing();
  /** What was told, in order. */
  readonly told: string[] = [];
  isCloning = false;
  readonly engine = new Engine(
    this.ring,
    (event) => this.told.push(event.type === 'produced' ? `log ${String(event.lsn)}` : event.type),
    (lsn, frames) => this.told.push(`point ${String(lsn)} after ${String(frames)}`),
    () => this.isCloning,
  );
}

describe('engine', () => {
  it('does not read the whole control page at each look at the log', () => {
    const { ring, engine, told } = new Recorder();
    const before = ring.reads;
    for (const lsn of [10, 20, 20]) {
      ring.produced = lsn;
      engine.observe();
    }
    expect(told).to.deep.equal(['log 10', 'log 20']);
    expect(ring.reads).to.equal(before);
  });

  it('tells an awaited clone point before the log behind it, once', () => {
    const recorder = new Recorder();
    const { ring, engine, told } = recorder;
    recorder.isCloning = true;
    engine.observe();
    ring.reachPoint(20, 3);
    ring.produced = 30;
    engine.observe();
    engine.observe();
    engine.observeSlowly();
    expect(told).to.deep.equal(['log 0', 'point 20 after 3', 'log 30', 'engineBeat']);
  });

  it('tells one that nobody awaits any more with the next tick: the ring keeps log for it', () => {
    const { ring, engine, told } = new Recorder();
    ring.reachPoint(20, 3);
    engine.observe();
    expect(told).to.deep.equal(['log 0']);
    engine.observeSlowly();
    engine.observeSlowly();
    expect(told).to.deep.equal(['log 0', 'point 20 after 3', 'engineBeat']);
  });
});
