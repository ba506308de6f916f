// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { LocalError } from './errors.js';
import { pairClaim, takeLock, withLock, type Claim } from './lock.js';

const LOCK = join(import.meta.dirname, 'lock.js');

const claim = (who: string, name = `lockstep-test-${process.pid}`): Claim => ({
  name,
  what: "pair 'x'",
  who,
});

const refusal = (act: Promise<unknown>): Promise<LocalError> =>
  act.then(
    () => {
      throw new Error('it was let in');
    },
    (error: unknown) => error as LocalError,
  );

describe('a lock', () => {
  it('keeps a second one out, says who holds it, and is free again after the first', async () => {
    const result = await withLock(claim("'lockstep up'"), async () => {
      const second = await refusal(withLock(claim("'lockstep down'"), () => Promise.resolve('in')));
      expect(second).to.include({ code: 'STATE' });
      expect(second.message).to.equal(`pair 'x' is in the hands of 'lockstep up', process ${process.pid}`);
      return 'first';
    });
    expect(result).to.equal('first');
    expect(await withLock(claim("'lockstep down'"), () => Promise.resolve('in'))).to.equal('in');
  });

  it('is free again when the work failed', async () => {
    const failed = await refusal(withLock(claim('a'), () => Promise.reject(new Error('no'))));
    expect(failed.message).to.equal('no');
    expect(await withLock(claim('b'), () => Promise.resolve('in'))).to.equal('in');
  });

  it('lets one of many in, whoever is first', async () => {
    const all = Array.from({ length: 20 }, (_, index) => takeLock(claim(`number ${index}`)));
    const settled = await Promise.allSettled(all);
    const taken = settled.filter((one) => one.status === 'fulfilled');
    expect(taken).to.have.length(1);
    taken[0]?.value.release();
  });

  it('goes with its process, also by SIGKILL', async () => {
    const { name } = claim('');
    const code = `import(${JSON.stringify(LOCK)}).then(async ({ takeLock }) => {
      await takeLock({ name: ${JSON.stringify(name)}, what: 'x', who: 'a child' });
      console.log('held');
      setInterval(() => {}, 1000);
    });`;
    const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    const { message } = await refusal(takeLock(claim('b')));
    expect(message).to.equal(`pair 'x' is in the hands of a child, process ${child.pid ?? 0}`);
    child.kill('SIGKILL');
    await once(child, 'exit');
    (await takeLock(claim('b'))).release();
  });

  it('tells of a holder that does not answer', async () => {
    const name = `lockstep-test-mute-${process.pid}`;
    const callers: { destroy(): void }[] = [];
    const mute = createServer({ allowHalfOpen: true }, (caller) => callers.push(caller));
    mute.listen(`\0${name}`);
    await once(mute, 'listening');
    try {
      const { message } = await refusal(takeLock(claim('b', name)));
      expect(message).to.equal("pair 'x' is in the hands of another process");
    } finally {
      for (const caller of callers) caller.destroy();
      mute.close();
    }
  });

  it('is one for each pair', async () => {
    await withLock(pairClaim({ name: `a${process.pid}` }, 'one'), () =>
      withLock(pairClaim({ name: `b${process.pid}` }, 'two'), () => Promise.resolve()),
    );
  });
});
