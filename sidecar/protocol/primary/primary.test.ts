// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { SidecarConfig } from '../config.js';
import { DIGEST_BYTES } from './digest-queue.js';
import type { Effect } from '../effects.js';
import type { ProtocolEvent } from '../events.js';
import type { Frame, ResumePoint } from '../frames.js';
import type { LeaseAnswer, LeaseRecord, LeaseRequest } from '../lease/messages.js';
import { makeLimits } from '../limits.js';
import { Sidecar } from '../sidecar.js';

const CONFIG: SidecarConfig = {
  vm: 'a',
  nonce: 'a'.repeat(32),
  identity: { engine: 'record-replay', logVersion: 1, qemuVersion: '10.0.2', deviceHash: 'd' },
  coldStart: { kind: 'found' },
  ringBytes: 1_000,
  disks: 0,
  limits: makeLimits({
    cloneGiveUpMs: 2_000,
    catchUpGiveUpMs: 1_500,
    digestsMax: 5_000,
    digestBytesMax: 10_000 * DIGEST_BYTES,
  }),
};
const { limits } = CONFIG;
const BACKUP = 'b'.repeat(32);
const POINT = 100;

/** A primary's sidecar, and everything around it spoken by the test. */
class Story {
  readonly sidecar = new Sidecar(CONFIG);
  now = 1_000;
  effects: Effect[] = [];
  link = 1;
  /** The backup says nothing any more. */
  silent = false;
  record: LeaseRecord = {
    store: 's',
    epoch: 1,
    primary: CONFIG.nonce,
    backup: '',
    winner: CONFIG.nonce,
    run: '1',
    claimable: true,
  };
  #beats = 0;
  #heard = 0;
  #question = 0;
  #peek = 0;

  /** An owner without a backup. */
  constructor() {
    this.#note(this.sidecar.start(this.now));
    this.answer({ op: 'found', result: 'ok', store: 's', epoch: 1 });
    this.pass(limits.tickMs);
  }

  get phase(): string {
    return this.sidecar.status.phase;
  }

  event(event: ProtocolEvent): void {
    this.#note(this.sidecar.handle(event, this.now));
  }

  frame(frame: Frame): void {
    this.event({ type: 'frame', link: this.link, frame });
  }

  /** To the newest question. */
  answer(answer: LeaseAnswer): void {
    this.event({ type: 'leaseAnswer', id: this.#question, answer });
  }

  /** Time passes, tick by tick; the backup beats, and the store is looked at. */
  pass(ms: number): void {
    const until = this.now + ms;
    while (this.now < until) {
      this.now += limits.tickMs;
      this.event({ type: 'tick' });
      if (this.#peek === this.#question) this.answer({ op: 'peek', result: 'present', record: this.record });
      if (!this.silent) this.beat();
    }
  }

  beat(): void {
    this.#beats += 1;
    this.frame({ type: 'beat', seq: this.#beats, echo: this.#heard });
  }

  hello(resume: ResumePoint | null): void {
    this.event({ type: 'accepted', link: this.link });
    const { vm, identity, ringBytes } = CONFIG;
    this.frame({ type: 'hello', protocol: 3, vm, nonce: BACKUP, identity, ringBytes, resume });
  }

  ack(lsn: number): void {
    this.frame({ type: 'ack', received: lsn, consumed: lsn, compared: 0 });
  }

  /** Up to a backup that has loaded. `head`: log made meanwhile. */
  load(head = POINT): void {
    this.hello(null);
    this.event({ type: 'produced', lsn: POINT });
    this.event({ type: 'clonePoint', attempt: 1, lsn: POINT, frames: 0 });
    this.event({ type: 'produced', lsn: head });
    this.pass(2 * limits.lagNoteMs);
    this.frame({ type: 'loaded' });
  }

  protect(): void {
    this.load();
    this.frame({ type: 'prepared', epoch: 2, store: 's' });
    this.answer({ op: 'arm', result: 'ok' });
    this.record = { ...this.record, epoch: 2, backup: BACKUP, winner: null };
    this.effects = [];
  }

  /** The connection breaks, and stands again. */
  reconnect(): void {
    this.event({ type: 'linkDown', link: this.link, detail: 'reset' });
    this.link += 1;
    this.effects = [];
    this.hello({ primary: CONFIG.nonce, received: POINT, consumed: POINT, compared: 0 });
  }

  sent(type: Frame['type']): Frame[] {
    return this.of('send').flatMap(({ frame }) => (frame.type === type ? [frame] : []));
  }

  asked(op: LeaseRequest['op']): number {
    return this.of('lease').filter(({ request }) => request.op === op).length;
  }

  of<T extends Effect['type']>(type: T): Extract<Effect, { type: T }>[] {
    return this.effects.filter((effect): effect is Extract<Effect, { type: T }> => effect.type === type);
  }

  #note(effects: readonly Effect[]): void {
    this.effects.push(...effects);
    for (const effect of effects) {
      if (effect.type === 'send' && effect.frame.type === 'beat') this.#heard = effect.frame.seq;
      if (effect.type !== 'lease') continue;
      this.#question = effect.id;
      if (effect.request.op === 'peek') this.#peek = effect.id;
    }
  }
}

describe('primary', () => {
  it('is protected when the backup has promised and the store has armed', () => {
    const s = new Story();
    s.load();
    expect(s.phase).to.equal('arming');
    s.frame({ type: 'prepared', epoch: 2, store: 's' });
    s.answer({ op: 'arm', result: 'ok' });
    expect(s.phase).to.equal('protected');
  });

  describe('a connection that breaks and stands again', () => {
    it('asks again for the promise, which may have been lost with the old one', () => {
      const s = new Story();
      s.load();
      s.reconnect();
      expect(s.sent('prepare')).to.deep.equal([{ type: 'prepare', epoch: 2, store: 's' }]);
      s.frame({ type: 'prepared', epoch: 2, store: 's' });
      expect(s.asked('arm')).to.equal(1);
    });

    it('tells again what is armed', () => {
      const s = new Story();
      s.protect();
      s.reconnect();
      expect(s.sent('armed')).to.deep.equal([{ type: 'armed', epoch: 2 }]);
    });
  });

  it('lets nothing out after a stall of its own, until the backup is known to be there still', () => {
    const s = new Story();
    s.protect();
    s.now += 2 * limits.deadAfterMs;
    s.event({ type: 'output', index: 1, bytes: 60, hash: '1'.repeat(32), head: POINT });
    expect(s.of('release'), 'although all its log is acknowledged').to.have.length(0);
    s.event({ type: 'tick' });
    s.beat();
    expect(s.of('release')).to.have.length(1);
  });

  it('notices that its backup is gone although it stalls again and again itself', () => {
    const s = new Story();
    s.protect();
    s.silent = true;
    for (let i = 0; i < 3; i += 1) {
      s.pass(250);
      s.now += limits.deadAfterMs + limits.tickMs;
    }
    expect(s.phase).to.equal('claiming');
  });

  describe('a clone', () => {
    it('is given up when nothing of it moves', () => {
      const s = new Story();
      s.hello(null);
      s.pass(limits.cloneGiveUpMs + 2 * limits.tickMs);
      expect(s.of('abortClone')).to.deep.equal([{ type: 'abortClone', attempt: 1 }]);
      expect(s.phase).to.equal('alone');
    });

    it('may take as long as it likes while its stream moves, and no longer', () => {
      const s = new Story();
      s.hello(null);
      const step = limits.cloneGiveUpMs / 2;
      for (let bytes = 1; bytes <= 10; bytes += 1) {
        s.pass(step);
        s.event({ type: 'cloneProgress', attempt: 1, bytes });
      }
      expect(s.phase).to.equal('cloning');
      for (let i = 0; i < 3; i += 1) {
        s.pass(step);
        s.event({ type: 'cloneProgress', attempt: 1, bytes: 10 });
        s.event({ type: 'cloneProgress', attempt: 7, bytes: 99 });
      }
      expect(s.phase, 'the same number again is no progress, nor is that of another').to.equal('alone');
    });

    it('that was loaded is given up when it neither catches up nor replays', () => {
      const s = new Story();
      s.load(500);
      s.pass(limits.catchUpGiveUpMs + 2 * limits.tickMs);
      expect(s.phase).to.equal('alone');
      expect(s.sidecar.status.protection).to.deep.include({ reason: 'cloneFailed' });
    });

    it('that was loaded may take as long as it likes to catch up while it replays', () => {
      const s = new Story();
      s.load(900);
      for (let i = 1; i <= 10; i += 1) {
        s.pass(limits.catchUpGiveUpMs / 2);
        s.frame({ type: 'ack', received: 900, consumed: POINT + i, compared: 0 });
      }
      expect(s.phase).to.equal('catchingUp');
    });
  });

  describe('while the backup loads', () => {
    const paceOf = (s: Story): number => s.of('pace').at(-1)?.permille ?? 0;

    it('slows the guest as its log runs out of room, and lets it run when there is room again', () => {
      const s = new Story();
      s.hello(null);
      s.event({ type: 'produced', lsn: POINT });
      s.event({ type: 'clonePoint', attempt: 1, lsn: POINT, frames: 0 });
      const paces = [0.4, 0.65, 0.75, 0.97].map((share) => {
        const head = POINT + share * 2 * CONFIG.ringBytes;
        s.event({ type: 'produced', lsn: head });
        // The backup's ring takes the older half of it; the rest waits in this one.
        const received = Math.min(head, POINT + CONFIG.ringBytes);
        s.frame({ type: 'ack', received, consumed: POINT, compared: 0 });
        s.pass(limits.tickMs);
        return paceOf(s);
      });
      expect(paces).to.deep.equal([0, 300, 500, limits.paceMaxPermille]);
      s.frame({ type: 'loaded' });
      s.frame({ type: 'ack', received: POINT + 1_000, consumed: POINT + 1_000, compared: 0 });
      s.frame({ type: 'ack', received: POINT + 1_940, consumed: POINT + 1_900, compared: 0 });
      s.pass(limits.tickMs);
      expect(paceOf(s)).to.equal(0);
    });

    it('keeps the digests of a busy guest, slows it as they fill their memory, and keeps the clone', () => {
      const s = new Story();
      s.hello(null);
      s.event({ type: 'clonePoint', attempt: 1, lsn: 0, frames: 0 });
      const digest = '1'.repeat(32);
      let index = 0;
      const make = (outputs: number): void => {
        for (const end = index + outputs; index < end;) {
          index += 1;
          s.event({ type: 'output', index, bytes: 60, hash: digest, head: 0 });
        }
        s.pass(limits.tickMs);
        s.effects = s.effects.filter(({ type }) => type === 'pace');
      };
      make(5_000);
      expect(paceOf(s)).to.equal(0);
      make(1_250);
      expect(paceOf(s)).to.equal(250);
      make(4_000);
      expect(paceOf(s), 'full: held, for as long as the load takes').to.equal(1_000);
      expect(s.phase).to.equal('cloning');
    });
  });
});
