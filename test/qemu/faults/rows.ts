// SPDX-License-Identifier: Apache-2.0
import type { Row } from './row.js';
import { CLONE_ROWS } from './rows-clone.js';
import { GUEST_ROWS } from './rows-guest.js';
import { HOST_ROWS } from './rows-hosts.js';
import { NETWORK_ROWS } from './rows-network.js';
import { OFF_ROWS } from './rows-off.js';
import { STORE_ROWS } from './rows-store.js';

/** In the order in which they are played. */
export const ROW_FILES: readonly (readonly [file: string, rows: readonly Row[]])[] = [
  ['rows-hosts', HOST_ROWS],
  ['rows-network', NETWORK_ROWS],
  ['rows-store', STORE_ROWS],
  ['rows-clone', CLONE_ROWS],
  ['rows-guest', GUEST_ROWS],
  ['rows-off', OFF_ROWS],
];

export const ROWS: readonly Row[] = ROW_FILES.flatMap(([, rows]) => rows);
