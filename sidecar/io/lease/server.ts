// SPDX-License-Identifier: Apache-2.0
/** What a Redis must be for a lease: its settings, and who may do what. For all who bring one up, and their tests. */

/** Redis' own words for the commands that the lease's operations need (scripts.ts), and for a look at its settings. */
const LEASE_COMMANDS = '+evalsha +eval +info +exists +hmget +hset +del +config|get';

/** Lines of redis.conf: no write that was answered may ever be lost, and nothing evicted. */
export const LEASE_SERVER_SETTINGS: readonly string[] = [
  'appendonly yes',
  'appendfsync always',
  'save ""',
  'maxmemory-policy noeviction',
];

/** Line of an ACL file: whoever does not say who they are may only ask whether the server is there. */
export const DEFAULT_USER = 'user default on nopass resetkeys resetchannels -@all +ping';

/**
 * Line of an ACL file: the user of sidecars and operators.
 * @param password as Redis takes it: `>` and the password, or `#` and its SHA-256 in hex
 * @param keyPrefix as `LeaseOptions.keyPrefix`
 */
export function leaseUser(name: string, password: string, keyPrefix: string): string {
  return `user ${name} on ${password} ~${keyPrefix}* resetchannels -@all ${LEASE_COMMANDS}`;
}
