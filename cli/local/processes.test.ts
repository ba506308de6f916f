// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identify, startDetached, terminate } from './processes.js';

describe('a program that is started detached', () => {
  it("comes before the machine's other sessions, where the kernel knows such an order", async function () {
    if (!existsSync('/proc/self/autogroup')) this.skip();
    const dir = await mkdtemp(join(tmpdir(), 'lockstep-'));
    const pid = startDetached(['sleep', '60'], {}, join(dir, 'log'));
    const id = await identify(pid);
    try {
      expect(await readFile(`/proc/${pid}/autogroup`, 'utf8')).to.match(/ nice -10$/m);
      expect(await readFile('/proc/self/autogroup', 'utf8')).not.to.match(/ nice -10$/m);
    } finally {
      if (id !== undefined) await terminate(id, 0);
      await rm(dir, { recursive: true });
    }
  });
});
