// SPDX-License-Identifier: Apache-2.0
// Takes the cluster down. Nothing stays but the cache.
import { rm } from 'node:fs/promises';
import { podman } from './command.js';
import { deleteCluster } from './kind.js';
import { removeNetwork } from './network.js';
import { tell } from './progress.js';
import { STATE } from './settings.js';
import { restoreUserfaultfd } from './userfaultfd.js';

/** kind's own network, shared by all clusters of kind on the machine. */
const KIND_NETWORK = 'kind';

async function removeKindNetwork(): Promise<void> {
  const users = await podman(['ps', '--all', '--quiet', '--filter', `network=${KIND_NETWORK}`]);
  if (users.trim() !== '') {
    tell(`the network '${KIND_NETWORK}' stays: other containers use it`);
    return;
  }
  await podman(['network', 'rm', '--force', KIND_NETWORK]);
}

export async function down(): Promise<void> {
  await deleteCluster();
  await removeNetwork();
  await removeKindNetwork();
  await restoreUserfaultfd();
  await rm(STATE, { recursive: true, force: true });
}
