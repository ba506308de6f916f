// SPDX-License-Identifier: Apache-2.0
// What a program that has ended said last, from the log that its output went to.
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from './errors.js';

const LINES = 3;
const TAIL_BYTES = 4096;

/** QEMU says these of processor features each time, whatever comes of it. */
const WARNING = /: warning: /;

/** The last lines of `name`'s log in an incarnation's folder, as one, warnings left out; empty when it said nothing else. */
export async function lastWords(dir: string, name: 'sidecar' | 'qemu'): Promise<string> {
  try {
    const lines = (await tailOf(join(dir, `${name}.log`)))
      .split('\n')
      .filter((line) => line.trim() !== '' && !WARNING.test(line));
    return lines.slice(-LINES).join(' | ');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return '';
    throw error;
  }
}

/** The end of a file, however long it is. */
async function tailOf(file: string): Promise<string> {
  const handle = await open(file, 'r');
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
