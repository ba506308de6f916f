// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { LocalError } from './errors.js';

const RUN_TIMEOUT_MS = 20_000;
const OUTPUT_BYTES_MAX = 1 << 20;

export interface RunOptions {
  /** Written to the program's standard input. */
  readonly input?: string;
  readonly timeoutMs?: number;
  /** A program that says more is ended. */
  readonly outputBytesMax?: number;
}

/**
 * Runs a program to its end and gives its standard output.
 * @throws LocalError COMMAND_FAILED with the program's own words.
 */
export function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  return new Promise((done, fail) => {
    const child = execFile(
      file,
      args,
      {
        timeout: options.timeoutMs ?? RUN_TIMEOUT_MS,
        maxBuffer: options.outputBytesMax ?? OUTPUT_BYTES_MAX,
        killSignal: 'SIGKILL',
      },
      (error, stdout, stderr) => {
        if (error === null) {
          done(stdout);
          return;
        }
        const said = stderr.trim() || stdout.trim() || error.message;
        fail(
          new LocalError('COMMAND_FAILED', `${file} ${args.join(' ')}: ${said}`, undefined, { cause: error }),
        );
      },
    );
    child.stdin?.on('error', () => undefined); // a program that ended before reading: its exit code tells
    child.stdin?.end(options.input ?? '');
  });
}
