// SPDX-License-Identifier: Apache-2.0
// The lease store that came with the chart, asked as its one user may.
import { leaseKey } from '../../../../sidecar/io/lease/redis.js';
import { vmIdOf } from '../../../../operator/names.js';
import { kubectl } from '../../bed/kubectl.js';
import { RELEASE_NAMESPACE } from '../../bed/product.js';
import { get, type KubeObject } from './kube.js';

const POD = 'lockstep-redis-0';
const KEY_PREFIX = 'lockstep:';

interface Secret extends KubeObject {
  readonly data: Readonly<Record<string, string>>;
}

async function redis(words: readonly string[]): Promise<string> {
  const secret = await get<Secret>('secret', 'lockstep-store', RELEASE_NAMESPACE);
  const read = (key: string) => Buffer.from(secret?.data[key] ?? '', 'base64').toString();
  const user = ['--no-auth-warning', '--user', read('username'), '--pass', read('password')];
  return kubectl(['exec', '-n', RELEASE_NAMESPACE, POD, '--', 'redis-cli', ...user, ...words]);
}

/** Whether there is a lease of a VM. */
export async function hasLease(name: string, uid: string): Promise<boolean> {
  const answer = (await redis(['EXISTS', leaseKey(KEY_PREFIX, vmIdOf(name, uid))])).trim();
  if (answer !== '0' && answer !== '1') throw new Error(`the store says: ${answer}`);
  return answer === '1';
}
