// SPDX-License-Identifier: Apache-2.0
// Reports with a date, for docs/.
import { appendFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { messageOf } from '../../../cli/local/errors.js';
import type { PairLayout } from '../../../cli/local/layout.js';
import { takeDown } from '../../../cli/local/pair.js';
import { run } from '../../../cli/local/run.js';
import { tellFailure } from './failure.js';

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

/** Rejects when a person, or who watches the time, has had enough. */
function interruption(): Promise<never> {
  return new Promise((_, fail) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => fail(new Error(`interrupted by ${signal}`)));
    }
  });
}

/** A run outside of mocha: its logs are kept when it fails, and its pair is taken down in any case. */
export async function longRun(layout: PairLayout, rerun: string, body: () => Promise<void>): Promise<void> {
  try {
    await Promise.race([body(), interruption()]);
  } catch (error) {
    say(`failed: ${messageOf(error)}`);
    await tellFailure(layout, 'report', rerun);
    process.exitCode = 1;
  } finally {
    await takeDown(layout);
  }
  process.exit(); // whatever an interrupted body still waits for does not matter
}
