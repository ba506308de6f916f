// SPDX-License-Identifier: Apache-2.0
// Keeps the file of a guest's console within a bound: a guest may write as much as it likes, for ever. QEMU appends to the
// file and holds it open, so what is there is copied away, and the file emptied. What is kept: the file, and one before it.
import { copyFile, rm, stat, truncate } from 'node:fs/promises';
import { systemCode } from './errors.js';

/** Hours of what a guest usually says; a guest that writes all the time fills it in some seconds. */
export const CONSOLE_BYTES_MAX = 4 << 20;

/** Where the older part is. */
export const olderPart = (file: string): string => `${file}.1`;

/** No room for the older part: then it goes, and what is newest has room again. */
const NO_ROOM: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

async function moveAway(file: string): Promise<void> {
  try {
    await copyFile(file, olderPart(file));
  } catch (error) {
    if (!NO_ROOM.has(systemCode(error) ?? '')) throw error;
    await rm(olderPart(file), { force: true });
  }
}

/** True: the file had outgrown its bound. What is written in the moment between copy and cut is lost. */
export async function boundConsole(file: string, bytesMax = CONSOLE_BYTES_MAX): Promise<boolean> {
  try {
    if ((await stat(file)).size <= bytesMax) return false;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false; // QEMU has not made it yet
    throw error;
  }
  await moveAway(file);
  await truncate(file);
  return true;
}
