// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identify, startDetached, terminate } from './processes.js';
import { sessionShare } from './share.js';

describe('a program that is started detached', () => {
  it("comes before the machine's other sessions, where the kernel knows such an order", async () => {
    const dir = await mkdtemp(join(tmpdir(), 'lockstep-'));
    const pid = startDetached(['sleep', '60'], {}, join(dir, 'log'));
    const id = await identify(pid);
    try {
      expect(sessionShare(pid)).to.equal(existsSync('/proc/self/autogroup') ? 'first' : null);
    } finally {
      if (id !== undefined) await terminate(id, 0);
      await rm(dir, { recursive: true });
    }
  });
});
