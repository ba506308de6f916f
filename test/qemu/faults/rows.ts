// SPDX-License-Identifier: Apache-2.0
import type { Row } from './row.js';
import { HOST_ROWS } from './rows-hosts.js';

/** In the order in which they are played. */
export const ROWS: readonly Row[] = [...HOST_ROWS];
