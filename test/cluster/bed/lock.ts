// SPDX-License-Identifier: Apache-2.0
// One start or end of the cluster at a time, on the whole machine. The lock is a name that only one process can listen
// on: it goes with its process, however that ends.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { LocalError, systemCode } from '../../../cli/local/errors.js';

/** In Linux's abstract namespace: no file stays. */
const NAME = '\0lockstep-cluster-bed';

/** @throws LocalError STATE when another process holds the lock. */
export async function withLock<T>(work: () => Promise<T>, name = NAME): Promise<T> {
  const lock = createServer();
  lock.listen(name);
  try {
    await once(lock, 'listening');
  } catch (error) {
    if (systemCode(error) !== 'EADDRINUSE') throw error;
    const words = 'the cluster is being started or taken down by another process';
    throw new LocalError('STATE', words, 'Wait until it is done.', { cause: error });
  }
  try {
    return await work();
  } finally {
    lock.close();
  }
}
