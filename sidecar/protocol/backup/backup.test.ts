// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { SidecarConfig } from '../config.js';
import type { Effect } from '../effects.js';
import type { ProtocolEvent } from '../events.js';
import type { Frame } from '../frames.js';
import { makeLimits } from '../limits.js';
import { Sidecar } from '../sidecar.js';

const CONFIG: SidecarConfig = {
  vm: 'a',
  nonce: 'b'.repeat(32),
  identity: { engine: 'record-replay', logVersion: 1, qemuVersion: '10.0.2', deviceHash: 'd' },
  coldStart: null,
  ringBytes: 1_000,
  disks: 0,
  limits: makeLimits(),
};

/** A backup's sidecar, and everything around it spoken by the test. */
class Story {
  readonly sidecar = new Sidecar(CONFIG);
  now = 1_000;
  effects: Effect[] = [];

  constructor() {
    this.effects.push(...this.sidecar.start(this.now));
  }

  event(event: ProtocolEvent): void {
    this.effects.push(...this.sidecar.handle(event, this.now));
  }

  frame(frame: Frame): void {
    this.event({ type: 'frame', link: 1, frame });
  }

  output(index: number, hash: string): void {
    this.event({ type: 'output', index, hash, bytes: 60, head: 0 });
  }

  /** Time passes, tick by tick. */
  pass(ms: number): void {
    const until = this.now + ms;
    while (this.now < until) {
      this.now += CONFIG.limits.tickMs;
      this.event({ type: 'tick' });
    }
  }

  sent(type: Frame['type']): Frame[] {
    return this.effects.flatMap((effect) =>
      effect.type === 'send' && effect.frame.type === type ? [effect.frame] : [],
    );
  }

  of<T extends Effect['type']>(type: T): Extract<Effect, { type: T }>[] {
    return this.effects.filter((effect): effect is Extract<Effect, { type: T }> => effect.type === type);
  }

  follow(): void {
    this.event({ type: 'dialled', link: 1 });
    this.frame({ type: 'welcome', nonce: 'p', resumeFrom: null });
    this.frame({ type: 'clonePoint', lsn: 100 });
    this.event({ type: 'loaded' });
  }

  claim(): void {
    this.follow();
    this.frame({ type: 'prepare', epoch: 2, store: 's' });
    this.event({ type: 'received', link: 1, lsn: 200, end: true });
    this.frame({ type: 'handover', reason: 'userAction' });
  }

  answer(result: 'won' | 'lost'): void {
    const id = this.of('lease').at(-1)?.id ?? 0;
    this.event({ type: 'leaseAnswer', id, answer: { op: 'claim', result } });
  }
}

describe('backup', () => {
  it('follows whichever of the clone and its position comes first', () => {
    const s = new Story();
    s.event({ type: 'dialled', link: 1 });
    s.frame({ type: 'welcome', nonce: 'p', resumeFrom: null });
    s.event({ type: 'loaded' });
    expect(s.sent('loaded')).to.have.length(0);
    s.frame({ type: 'clonePoint', lsn: 100 });
    expect(s.sent('loaded')).to.have.length(1);
  });

  it('throws away what its engine sends while it waits for the clone, and counts from the clone point', () => {
    const s = new Story();
    s.output(1, 'x');
    expect(s.of('drop')).to.deep.equal([{ type: 'drop', through: 1 }]);
    s.follow();
    s.output(2, 'a');
    s.output(3, 'b');
    s.frame({ type: 'released', n: 1 });
    expect(s.of('drop').at(-1)).to.deep.equal({ type: 'drop', through: 2 });
  });

  it('acknowledges what it has, at once', () => {
    const s = new Story();
    s.follow();
    s.event({ type: 'received', link: 1, lsn: 150, end: true });
    expect(s.sent('ack').at(-1)).to.deep.equal({ type: 'ack', received: 150, consumed: 100, compared: 0 });
  });

  it('ignores log and frames of a connection that is not the newest', () => {
    const s = new Story();
    s.follow();
    s.event({ type: 'received', link: 9, lsn: 150, end: true });
    s.event({ type: 'frame', link: 9, frame: { type: 'handover', reason: 'userAction' } });
    expect(s.sent('ack')).to.have.length(0);
    expect(s.sidecar.status.phase).to.equal('following');
  });

  it('sends nothing any more once a claim has begun', () => {
    const s = new Story();
    s.claim();
    const before = s.of('send').length;
    s.event({ type: 'received', link: 1, lsn: 300, end: true });
    s.event({ type: 'dialled', link: 2 });
    s.now += 100;
    s.event({ type: 'tick' });
    expect(s.of('send')).to.have.length(before);
    expect(s.of('closeLink').map((effect) => effect.link)).to.deep.equal([1, 2]);
  });

  it('goes live only when it has won', () => {
    const s = new Story();
    s.claim();
    expect(s.of('promote')).to.have.length(0);
    s.answer('won');
    expect(s.of('promote')).to.have.length(1);
    s.output(1, 'a');
    s.event({ type: 'live', lsn: 200 });
    expect(s.sidecar.status).to.deep.include({ role: 'primary', phase: 'alone', epoch: 2 });
    expect(s.of('release')).to.deep.equal([{ type: 'release', through: 1, limit: { by: 'owner' } }]);
    expect(s.of('announce')).to.have.length(1);
  });

  it('ends when it has lost', () => {
    const s = new Story();
    s.claim();
    s.answer('lost');
    expect(s.of('end').map((effect) => effect.reason)).to.deep.equal(['leaseLost']);
  });

  it('ends rather than run on from less than it acknowledged', () => {
    const s = new Story();
    s.claim();
    s.answer('won');
    s.event({ type: 'live', lsn: 199 });
    expect(s.of('end').map((effect) => effect.reason)).to.deep.equal(['replayShort']);
  });

  it('takes over although its log ends in the middle of an event: the engine drops that event', () => {
    const s = new Story();
    s.follow();
    s.frame({ type: 'prepare', epoch: 2, store: 's' });
    s.event({ type: 'received', link: 1, lsn: 190, end: true });
    s.event({ type: 'received', link: 1, lsn: 200, end: false });
    s.frame({ type: 'handover', reason: 'userAction' });
    s.answer('won');
    s.event({ type: 'live', lsn: 190 });
    expect(s.sidecar.status).to.deep.include({ role: 'primary', phase: 'alone' });
  });

  it('waits for the lease as long as it takes, with the beginning of an event that nobody can replay', () => {
    const s = new Story();
    s.follow();
    s.frame({ type: 'prepare', epoch: 2, store: 's' });
    s.event({ type: 'received', link: 1, lsn: 190, end: true });
    s.event({ type: 'received', link: 1, lsn: 200, end: false });
    s.frame({ type: 'handover', reason: 'userAction' });
    s.event({ type: 'consumed', lsn: 190 });
    s.pass(3 * CONFIG.limits.replayStuckAfterMs);
    expect(s.of('end')).to.have.length(0);
    expect(s.sidecar.status.phase).to.equal('claiming');
  });

  it('bars itself while it waits for the lease if it leaves whole events unread', () => {
    const s = new Story();
    s.claim();
    s.event({ type: 'consumed', lsn: 150 });
    s.pass(3 * CONFIG.limits.replayStuckAfterMs);
    expect(s.of('end').map((effect) => effect.reason)).to.deep.equal(['stuck']);
  });

  it('does not give up for keeping too much once a claim has begun: nobody tells any more what has left', () => {
    const s = new Story();
    s.claim();
    const { heldOutputsMax, holdSlackOutputs } = CONFIG.limits;
    for (let n = 1; n <= heldOutputsMax + 2 * holdSlackOutputs + 10; n += 1) s.output(n, 'a');
    expect(s.of('end')).to.have.length(0);
  });

  it('takes over only after outputs on their way were compared with digests it has', () => {
    const s = new Story();
    s.follow();
    s.frame({ type: 'prepare', epoch: 2, store: 's' });
    s.event({ type: 'received', link: 1, lsn: 200, end: true });
    s.frame({ type: 'digest', n: 1, lsn: 200, hash: 'a' });
    s.frame({ type: 'handover', reason: 'engineFailed' });
    s.answer('won');
    s.event({ type: 'live', lsn: 200 });
    expect(s.sidecar.status.phase).to.equal('goingLive');
    s.output(1, 'different');
    expect(s.of('end').map((effect) => effect.reason)).to.deep.equal(['divergence']);
  });

  it('does not acknowledge after a stall of its own until a later beat is echoed', () => {
    const s = new Story();
    s.follow();
    s.now += 5_000;
    s.event({ type: 'received', link: 1, lsn: 150, end: true });
    expect(s.sent('ack')).to.have.length(0);
    s.event({ type: 'tick' });
    const beat = s.sent('beat').at(-1);
    s.frame({ type: 'beat', seq: 9, echo: beat?.type === 'beat' ? beat.seq : 0 });
    s.event({ type: 'received', link: 1, lsn: 160, end: true });
    expect(s.sent('ack')).to.have.length(1);
  });

  it('promises again what it has promised, never less', () => {
    const s = new Story();
    s.follow();
    s.frame({ type: 'prepare', epoch: 3, store: 't' });
    s.frame({ type: 'prepare', epoch: 2, store: 's' });
    expect(s.sent('prepared')).to.deep.equal([
      { type: 'prepared', epoch: 3, store: 't' },
      { type: 'prepared', epoch: 3, store: 't' },
    ]);
  });

  it('does nothing after its end', () => {
    const s = new Story();
    s.event({ type: 'commandStop' });
    const before = s.effects.length;
    s.event({ type: 'tick' });
    expect(s.effects).to.have.length(before);
    expect(s.sidecar.status.phase).to.equal('ended');
  });
});
