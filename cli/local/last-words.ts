// SPDX-License-Identifier: Apache-2.0
// What a program that has ended said last, from the log that its output went to.
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { olderPart } from './bounded-file.js';
import { ifMissing } from './errors.js';

const LINES = 3;
const TAIL_BYTES = 4096;

/** QEMU says these of processor features each time, whatever comes of it. */
const WARNING = /: warning: /;

/** Where the output of one of an incarnation's processes goes. */
export const logOf = (dir: string, name: 'sidecar' | 'qemu'): string => join(dir, `${name}.log`);

/** The last lines of `name`'s log in an incarnation's folder, as one, warnings left out; empty when it said nothing else. */
export async function lastWords(dir: string, name: 'sidecar' | 'qemu'): Promise<string> {
  const file = logOf(dir, name);
  // A log that was just cut has its last words in its older part.
  const lines = `${await tailOf(olderPart(file))}${await tailOf(file)}`
    .split('\n')
    .filter((line) => line.trim() !== '' && !WARNING.test(line));
  return lines.slice(-LINES).join(' | ');
}

/** The end of a file, however long it is; empty when there is no such file. */
async function tailOf(file: string): Promise<string> {
  const handle = await ifMissing<FileHandle | null>(open(file, 'r'), null);
  if (handle === null) return '';
  try {
    const { size } = await handle.stat();
    const { buffer, bytesRead } = await handle.read({
      buffer: Buffer.alloc(TAIL_BYTES),
      position: Math.max(0, size - TAIL_BYTES),
    });
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
