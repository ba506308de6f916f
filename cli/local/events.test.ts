// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { appendEvent, readEvents } from './events.js';

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

  it('does not end its writer when it cannot be written', () => {
    appendEvent('/dev/full', 'HostUp', 'a', '');
    appendEvent(join(dir, 'nowhere', 'events.jsonl'), 'HostUp', 'a', '');
  });
});
