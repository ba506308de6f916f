// SPDX-License-Identifier: Apache-2.0
// What can befall the lease store: it stands still, dies, comes back with its data or without, or is emptied.
import { appendFile, cp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { PairLayout } from '../../../cli/local/layout.js';
import { newPassword } from '../../../cli/local/pair.js';
import { runningFrom, signal, waitGone, type ProcessId } from '../../../cli/local/processes.js';
import { run } from '../../../cli/local/run.js';
import { startStore, stopStore, storeSocket } from '../../../cli/local/store.js';
import { signalAll } from './host-faults.js';

const ADMIN = 'faults';
const GONE_MS_MAX = 5000;
/** What Redis keeps in its folder, beside what the pair has put there. */
const DATA = /^(appendonlydir|dump\.rdb|temp-.*)$/;
const AOF = 'appendonlydir';
const COPY = 'kept-copy';

export class StoreFaults {
  private readonly password = newPassword();

  private constructor(private readonly layout: PairLayout) {}

  /** Adds a user to the pair's store that may do everything; for this the store is restarted, with its data. */
  static async of(layout: PairLayout): Promise<StoreFaults> {
    const faults = new StoreFaults(layout);
    await appendFile(join(layout.store.dir, 'users.acl'), `user ${ADMIN} on >${faults.password} ~* +@all\n`);
    await stopStore(layout);
    await startStore(layout);
    return faults;
  }

  async freeze(): Promise<void> {
    signalAll([(await this.process()).pid], 'SIGSTOP');
  }

  async thaw(): Promise<void> {
    signalAll([(await this.process()).pid], 'SIGCONT');
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    const id = await this.process();
    await signal(id, 'SIGKILL');
    if (!(await waitGone(id, GONE_MS_MAX))) throw new Error('the lease store does not die');
  }

  /** Keeps a copy of its data as they are; it must not run. */
  async keepCopy(): Promise<void> {
    await cp(join(this.layout.store.dir, AOF), join(this.layout.store.dir, COPY), { recursive: true });
  }

  /** Starts it: with the data it has, without any, or with the copy that was kept. */
  async begin(data: 'kept' | 'removed' | 'copy'): Promise<void> {
    const { dir } = this.layout.store;
    if (data !== 'kept') await this.removeData();
    if (data === 'copy') await rename(join(dir, COPY), join(dir, AOF));
    await startStore(this.layout);
  }

  /** FLUSHALL: the keys are gone, the server lives on. */
  async flush(): Promise<void> {
    const { layout, password } = this;
    const said = await run('redis-cli', [
      '-s',
      storeSocket(layout),
      '--user',
      ADMIN,
      '--pass',
      password,
      '--no-auth-warning',
      'flushall',
    ]);
    if (said.trim() !== 'OK') throw new Error(`FLUSHALL: ${said}`);
  }

  /** Whatever was done to it: it runs and answers. */
  async heal(): Promise<void> {
    const id = await runningFrom(this.layout.store.pid);
    if (id === undefined) await startStore(this.layout);
    else signalAll([id.pid], 'SIGCONT');
  }

  private async removeData(): Promise<void> {
    const { dir } = this.layout.store;
    for (const name of (await readdir(dir)).filter((one) => DATA.test(one))) {
      await rm(join(dir, name), { recursive: true });
    }
  }

  private async process(): Promise<ProcessId> {
    const id = await runningFrom(this.layout.store.pid);
    if (id === undefined) throw new Error('the lease store does not run');
    return id;
  }
}
