// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identify, startDetached, terminate } from './processes.js';

/** As the kernel shows it; nothing where it does not know such an order. */
async function sessionNice(pid: number): Promise<string | undefined> {
  const file = `/proc/${pid}/autogroup`;
  return existsSync(file) ? / nice (-?\d+)$/m.exec(await readFile(file, 'utf8'))?.[1] : undefined;
}

describe('a program that is started detached', () => {
  it("comes before the machine's other sessions, where the kernel knows such an order", async () => {
    const dir = await mkdtemp(join(tmpdir(), 'lockstep-'));
    const pid = startDetached(['sleep', '60'], {}, join(dir, 'log'));
    const id = await identify(pid);
    try {
      expect(await sessionNice(pid)).to.equal(existsSync('/proc/self/autogroup') ? '-10' : undefined);
    } finally {
      if (id !== undefined) await terminate(id, 0);
      await rm(dir, { recursive: true });
    }
  });
});
