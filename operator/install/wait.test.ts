// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { ROUND_MS, waitForAll, type Clock, type Question } from './wait.js';

class FakeClock implements Clock {
  #ms = 1_000_000;
  nowMs(): number {
    return this.#ms;
  }
  pause(ms: number): Promise<void> {
    this.#ms += ms;
    return Promise.resolve();
  }
}

/** Gives these answers one after the other, then the last for ever. */
function answering(about: string, ...answers: (string | null)[]): Question & { asked: number } {
  const question = {
    about,
    asked: 0,
    ask: () => Promise.resolve(answers[Math.min(question.asked++, answers.length - 1)] ?? null),
  };
  return question;
}

describe('waiting for an installation', () => {
  const wait = async (questions: readonly Question[], timeoutMs = 10_000) => {
    const lines: string[] = [];
    const clock = new FakeClock();
    const began = clock.nowMs();
    const unanswered = await waitForAll(questions, { timeoutMs, clock, say: (line) => lines.push(line) });
    return { unanswered, lines, tookMs: clock.nowMs() - began };
  };

  it('ends at once when all is there', async () => {
    const result = await wait([answering('a', null), answering('b', null)]);
    expect(result).to.deep.equal({ unanswered: [], lines: ['a: good', 'b: good'], tookMs: 0 });
  });

  it('asks again only what was not there, and tells a reason once', async () => {
    const there = answering('a', null);
    const late = answering('b', 'down', 'down', 'starting', null);
    const { unanswered, lines, tookMs } = await wait([there, late]);
    expect(unanswered).to.be.empty;
    expect(lines).to.deep.equal(['a: good', 'b: down', 'b: starting', 'b: good']);
    expect([there.asked, late.asked, tookMs]).to.deep.equal([1, 4, 3 * ROUND_MS]);
  });

  it('gives up in time, with the last reason of each', async () => {
    const { unanswered, tookMs } = await wait(
      [answering('a', null), answering('b', 'down', 'refused'), answering('c', 'no')],
      5_500,
    );
    expect(unanswered).to.deep.equal([
      { about: 'b', why: 'refused' },
      { about: 'c', why: 'no' },
    ]);
    expect(tookMs).to.equal(5 * ROUND_MS);
  });

  it('asks once even without time', async () => {
    const question = answering('a', 'no');
    expect((await wait([question], 0)).unanswered).to.have.length(1);
    expect(question.asked).to.equal(1);
  });
});
