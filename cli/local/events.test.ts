// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { appendFile, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { olderPart } from './bounded-file.js';
import { appendEvent, boundTimeline, readEvents } from './events.js';

describe("a pair's timeline", () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'lockstep-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('is read as it was written, but for what a full folder has cut, or what is being written', async () => {
    const file = join(dir, 'events.jsonl');
    expect(await readEvents(file)).to.deep.equal([]);
    appendEvent(file, 'HostUp', 'a', 'one');
    await appendFile(file, '{"atMs":1,"wh\n');
    appendEvent(file, 'Protected', null, 'x'.repeat(5000));
    await appendFile(file, '{"atMs":1,');
    const events = await readEvents(file);
    expect(events.map(({ what, host }) => [what, host])).to.deep.equal([
      ['HostUp', 'a'],
      ['Protected', null],
    ]);
    expect(events[1]?.text).to.have.length(1000);
  });

  it('never keeps more than twice its bound and what came between two looks, in order and without a gap', async () => {
    const file = join(dir, 'events.jsonl');
    for (let n = 0; n < 200; n++) {
      appendEvent(file, 'HostUp', 'a', String(n));
      await boundTimeline(file, 1000);
    }
    const kept = (await readEvents(file)).map(({ text }) => Number(text));
    expect(kept.at(-1)).to.equal(199);
    expect(kept.length).to.be.within(10, 60);
    expect(kept).to.deep.equal(kept.map((_, index) => 200 - kept.length + index));
    expect((await stat(olderPart(file))).size).to.be.at.most(1100);
  });

  it('is read whole while it is moved away', async () => {
    const file = join(dir, 'events.jsonl');
    let last = -1;
    for (let n = 0; n < 100; n++) {
      appendEvent(file, 'HostUp', 'a', String(n));
      const [events] = await Promise.all([readEvents(file), boundTimeline(file, 500)]);
      const kept = events.map(({ text }) => Number(text));
      expect(kept).to.deep.equal(kept.map((_, index) => n + 1 - kept.length + index));
      last = kept.at(-1) ?? -1;
    }
    expect(last).to.equal(99);
  });

  it('does not end its writer when it cannot be written', () => {
    appendEvent('/dev/full', 'HostUp', 'a', '');
    appendEvent(join(dir, 'nowhere', 'events.jsonl'), 'HostUp', 'a', '');
  });
});
