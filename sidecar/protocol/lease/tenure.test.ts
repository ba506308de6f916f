// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { LeaseDesk, RequestIds } from './desk.js';
import type { LeaseAnswer, LeaseRequest } from './messages.js';
import { makeLimits } from '../limits.js';
import { Outbox } from '../outbox.js';
import type { TenureNews } from './tenure.js';
import { Tenure } from './tenure.js';

/** An owner of epoch 1 in store s, and the store's side of its conversation. */
class Story {
  readonly desk = new LeaseDesk(makeLimits(), new RequestIds());
  readonly tenure = new Tenure('me', this.desk, { epoch: 1, store: 's' });
  readonly out = new Outbox();
  now = 0;

  get asked(): (LeaseRequest & { id: number })[] {
    return this.out.effects.flatMap((effect) =>
      effect.type === 'lease' ? [{ ...effect.request, id: effect.id }] : [],
    );
  }

  /** The store answers the newest question (or the one `back` before it). */
  answer(answer: LeaseAnswer, back = 0): TenureNews | null {
    const certain = this.desk.answer(this.asked.at(-1 - back)?.id ?? 0, answer, this.now);
    return certain === null ? null : this.tenure.answer(certain, this.now, this.out);
  }

  retry(): void {
    this.now += 1_000;
    this.desk.tick(this.now, this.out);
  }

  promise(epoch: number, store = 's'): void {
    expect(this.tenure.promise(epoch, store)).to.equal(true);
  }

  prepareAndArm(epoch: number): void {
    expect(this.tenure.prepare({ store: 's', run: 'r' }, 'b').epoch).to.equal(epoch);
    this.promise(epoch);
    this.tenure.arm(this.now, this.out);
  }
}

const ARM_UNKNOWN: LeaseAnswer = { op: 'arm', result: 'unknown', reason: 'timeout' };
const ARM_OK: LeaseAnswer = { op: 'arm', result: 'ok' };
const MISSING: LeaseAnswer = { op: 'arm', result: 'refused', reason: 'missing' };

describe('tenure', () => {
  it('is sole owner again if the backup goes before arm is asked', () => {
    const s = new Story();
    s.tenure.prepare({ store: 's', run: 'r' }, 'b');
    s.promise(2);
    expect(s.tenure.takeBack(0, s.out)).to.equal('sole');
    expect(s.asked).to.deep.equal([]);
  });

  it('makes sure of the arm, then claims, if the backup goes while arm is asked', () => {
    const s = new Story();
    s.prepareAndArm(2);
    expect(s.tenure.takeBack(0, s.out)).to.equal('asked');
    expect(s.answer(ARM_UNKNOWN)).to.equal(null);
    s.retry();
    expect(s.answer(ARM_OK)).to.equal(null);
    expect(s.asked.at(-1)).to.include({ op: 'claim', epoch: 2 });
    expect(s.answer({ op: 'claim', result: 'won' })).to.deep.include({ type: 'won' });
    expect(s.tenure.armed).to.equal(false);
  });

  it('loses if the backup was first', () => {
    const s = new Story();
    s.prepareAndArm(2);
    s.answer(ARM_OK);
    s.tenure.takeBack(0, s.out);
    expect(s.answer({ op: 'claim', result: 'lost' })).to.deep.equal({ type: 'lost' });
  });

  it('believes a refusal of the only attempt', () => {
    const s = new Story();
    s.prepareAndArm(2);
    expect(s.answer(MISSING)).to.deep.equal({ type: 'armRefused', reason: 'missing' });
    expect(s.tenure.takeBack(0, s.out)).to.equal('sole');
  });

  it('does not believe a refusal while an earlier attempt may have been carried out', () => {
    const s = new Story();
    s.prepareAndArm(2);
    s.answer(ARM_UNKNOWN);
    s.retry();
    expect(s.answer(MISSING)).to.deep.equal({ type: 'armDoubtful', reason: 'missing' });
    expect(s.tenure.takeBack(0, s.out)).to.equal('asked');
    s.retry();
    expect(s.answer(MISSING), 'the backup may have won before the keys went').to.equal(null);
  });

  it('gets over that doubt by a new promise', () => {
    const s = new Story();
    s.prepareAndArm(2);
    s.answer(ARM_UNKNOWN);
    s.tenure.prepare({ store: 't', run: 'r2' }, 'b');
    expect(s.tenure.promise(3, 't')).to.equal(true);
    expect(s.tenure.takeBack(0, s.out), 'the promise voids epoch 2, and 3 was not asked for').to.equal(
      'sole',
    );
  });

  it('never uses an epoch twice', () => {
    const s = new Story();
    s.prepareAndArm(2);
    s.answer(MISSING);
    s.prepareAndArm(3);
  });

  it('takes a higher epoch of another for a loss', () => {
    const s = new Story();
    s.prepareAndArm(2);
    expect(s.answer({ op: 'arm', result: 'refused', reason: 'epochHigher' })).to.deep.equal({ type: 'lost' });
  });

  it('does not claim an armed epoch that the backup has given up by a promise; it arms another', () => {
    const s = new Story();
    s.prepareAndArm(2);
    s.answer(ARM_OK);
    s.tenure.prepare({ store: 't', run: 'r' }, 'b');
    s.promise(3, 't');
    expect(s.tenure.takeBack(0, s.out)).to.equal('asked');
    expect(s.tenure.awaitsStore).to.equal(true);
    s.tenure.storeUsable({ store: 'u', run: 'r' }, 0, s.out);
    expect(s.asked.at(-1)).to.include({ op: 'arm', epoch: 4, store: 'u', backup: '' });
  });

  it('claims the armed epoch if the backup was asked for another promise and has not given it', () => {
    const s = new Story();
    s.prepareAndArm(2);
    s.answer(ARM_OK);
    s.tenure.prepare({ store: 't', run: 'r' }, 'b');
    s.tenure.takeBack(0, s.out);
    expect(s.asked.at(-1)).to.include({ op: 'claim', epoch: 2, store: 's' });
  });

  it('does not know a promise that it never asked for', () => {
    expect(new Story().tenure.promise(9, 's')).to.equal(false);
  });
});

describe('lease desk', () => {
  it('asks again with a growing pause, and takes a late certain answer', () => {
    const s = new Story();
    s.prepareAndArm(2);
    s.retry(); // no answer in time counts as unknown
    s.retry();
    expect(s.asked, 'no answer for long: asked again').to.have.length(2);
    expect(s.answer(ARM_OK)).to.deep.include({ type: 'armed' });
  });

  it('ignores answers to questions that were dropped', () => {
    const s = new Story();
    s.prepareAndArm(2);
    s.desk.drop();
    expect(s.answer(ARM_OK)).to.equal(null);
  });
});
