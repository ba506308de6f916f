// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { Effect } from '../effects.js';
import type { ProtocolEvent } from '../events.js';
import type { Frame, HelloFrame } from '../frames.js';
import { PROTOCOL_VERSION } from '../frames.js';
import type { LeaseAnswer } from '../lease/messages.js';
import { makeLimits } from '../limits.js';
import { Sidecar } from '../sidecar.js';

const LIMITS = makeLimits();
const ME = 'a'.repeat(32);
const IDENTITY = { engine: 'record-replay', logVersion: 1, qemuVersion: '10.0.2', deviceHash: 'd' };
const HELLO: HelloFrame = {
  type: 'hello',
  protocol: PROTOCOL_VERSION,
  vm: 'a',
  nonce: 'b'.repeat(32),
  identity: IDENTITY,
  ringBytes: 1_000,
  resume: null,
};

/** The primary of an armed pair; the backup and the store are spoken by the test. */
class Story {
  readonly sidecar = new Sidecar({
    vm: 'a',
    nonce: ME,
    identity: IDENTITY,
    coldStart: { kind: 'found' },
    ringBytes: 1_000,
    disks: 0,
    limits: LIMITS,
  });
  now = 1_000;
  effects: Effect[];

  constructor() {
    this.effects = [...this.sidecar.start(this.now)];
    this.answer({ op: 'found', result: 'ok', store: 's', epoch: 1 });
    this.event({ type: 'tick' });
    const record = { store: 's', epoch: 1, primary: ME, backup: '', winner: ME, run: 'r', claimable: true };
    this.answer({ op: 'peek', result: 'present', record });
    this.join(1, HELLO);
    this.event({ type: 'clonePoint', attempt: 1, lsn: 100, frames: 0 });
    this.frame({ type: 'loaded' });
    this.frame({ type: 'prepared', epoch: 2, store: 's' });
    this.frame({ type: 'ack', received: 100, consumed: 100, compared: 0 });
    this.answer({ op: 'arm', result: 'ok' });
    expect(this.sidecar.status.phase).to.equal('protected');
    this.effects = [];
  }

  event(event: ProtocolEvent): void {
    this.effects.push(...this.sidecar.handle(event, this.now));
  }

  join(link: number, hello: HelloFrame): void {
    this.event({ type: 'accepted', link });
    this.event({ type: 'frame', link, frame: hello });
  }

  frame(frame: Frame): void {
    this.event({ type: 'frame', link: 1, frame });
  }

  /** To the newest question of its kind. */
  answer(answer: LeaseAnswer): void {
    const id = this.of('lease').findLast(({ request }) => request.op === answer.op)?.id ?? 0;
    this.event({ type: 'leaseAnswer', id, answer });
  }

  pass(ms: number): void {
    for (const until = this.now + ms; this.now < until;) {
      this.now += LIMITS.tickMs;
      this.event({ type: 'tick' });
    }
  }

  of<T extends Effect['type']>(type: T): Extract<Effect, { type: T }>[] {
    return this.effects.filter((effect): effect is Extract<Effect, { type: T }> => effect.type === type);
  }

  get claims(): number {
    return this.of('lease').filter(({ request }) => request.op === 'claim').length;
  }

  get ended(): string | undefined {
    return this.of('end').at(-1)?.reason;
  }
}

describe('a VM that is switched off', () => {
  for (const [event, reason] of [
    [{ type: 'commandStop' }, 'userAction'],
    [{ type: 'engineExited' }, 'vmNotRunning'],
  ] as const) {
    it(`by ${event.type}: the primary claims before it ends, however healthy the connection looks`, () => {
      const s = new Story();
      s.event(event);
      expect(s.of('send').map(({ frame }) => frame)).to.deep.equal([{ type: 'goodbye', reason }]);
      expect([s.claims, s.ended]).to.deep.equal([1, undefined]);
      s.answer({ op: 'claim', result: 'won' });
      expect(s.ended).to.equal(reason);
    });
  }

  it('after a reset: claims, and the backup that resumes is told goodbye', () => {
    const s = new Story();
    s.event({ type: 'linkDown', link: 1, detail: 'reset' });
    s.event({ type: 'commandStop' });
    expect([s.claims, s.ended]).to.deep.equal([1, undefined]);
    s.effects = [];
    s.join(2, { ...HELLO, resume: { primary: ME, received: 100, consumed: 100, compared: 0 } });
    expect(s.of('send')).to.deep.equal([
      { type: 'send', link: 2, frame: { type: 'goodbye', reason: 'userAction' } },
    ]);
  });

  it('while its primary claims already, in a cut: ends with that claim', () => {
    const s = new Story();
    s.pass(LIMITS.deadAfterMs + 2 * LIMITS.tickMs);
    expect(s.sidecar.status.phase).to.equal('claiming');
    s.event({ type: 'engineExited' });
    expect([s.claims, s.ended]).to.deep.equal([1, undefined]);
    s.answer({ op: 'claim', result: 'won' });
    expect(s.ended).to.equal('vmNotRunning');
  });

  it('holds the guest and its outputs until the lease is won; then the last ones leave', () => {
    const s = new Story();
    s.event({ type: 'output', index: 1, bytes: 60, hash: 'h', head: 200 });
    s.event({ type: 'commandStop' });
    expect(s.of('pace').at(-1)?.permille).to.equal(1_000);
    expect(s.of('release')).to.deep.equal([]);
    s.answer({ op: 'claim', result: 'won' });
    expect(s.of('release')).to.deep.equal([{ type: 'release', through: 1, limit: { by: 'owner' } }]);
  });

  it('too late: says that the VM runs on elsewhere', () => {
    const s = new Story();
    s.event({ type: 'commandStop' });
    s.answer({ op: 'claim', result: 'lost' });
    expect(s.of('end').at(-1)?.detail).to.match(/too late.*runs on at the backup/);
  });

  it('without an answer: keeps trying, ends within its bound, and says so', () => {
    const s = new Story();
    s.event({ type: 'commandStop' });
    s.event({ type: 'engineFailed', detail: 'QEMU is gone' });
    s.pass(LIMITS.switchOffClaimMs - LIMITS.tickMs);
    expect(s.ended).to.equal(undefined);
    expect(s.claims).to.be.above(3);
    s.pass(3 * LIMITS.tickMs);
    expect(s.ended).to.equal('userAction');
    expect(s.of('report').map(({ reason }) => reason)).to.include('unclaimed');
  });
});
