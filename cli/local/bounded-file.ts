// SPDX-License-Identifier: Apache-2.0
// Keeps a file within a bound that others write to for as long as they run: a guest's console, the log of a process. The
// writer appends to it and holds it open, so what is there is copied away, and the file emptied. What is kept: the file, and
// one before it.
import { copyFile, rm, stat, truncate } from 'node:fs/promises';
import { ifMissing, systemCode } from './errors.js';

/** Hours of what a guest usually says, weeks of a sidecar; a guest that writes all the time fills it in some seconds. */
export const FILE_BYTES_MAX = 4 << 20;

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

/** False also for a file that nobody has made yet. */
export const hasOutgrown = (file: string, bytesMax: number): Promise<boolean> =>
  ifMissing(
    stat(file).then(({ size }) => size > bytesMax),
    false,
  );

/** True: the file had outgrown its bound. What is written in the moment between copy and cut is lost. */
export async function boundFile(file: string, bytesMax = FILE_BYTES_MAX): Promise<boolean> {
  if (!(await hasOutgrown(file, bytesMax))) return false;
  await moveAway(file);
  await truncate(file);
  return true;
}
