// SPDX-License-Identifier: Apache-2.0
// Reports with a date, for docs/.
import { appendFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { run } from '../../../cli/local/run.js';

export const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** As `QEMU 10.0.2 (Debian ...)`. */
export async function qemuVersion(binary: string): Promise<string> {
  const first = (await run(binary, ['--version'])).split('\n')[0] ?? '';
  return first.replace('QEMU emulator version', 'QEMU');
}

/** Adds a section headed by the day and the machine. */
export async function appendReport(file: string, text: string): Promise<void> {
  const machine = `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown CPU'}`;
  const head = `\n## ${new Date().toISOString().slice(0, 10)}, ${machine}\n\n`;
  await appendFile(file, `${head}${text}\n`);
}
