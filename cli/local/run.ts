// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { LocalError, messageOf } from './errors.js';

const RUN_TIMEOUT_MS = 20_000;
const OUTPUT_BYTES_MAX = 1 << 20;

export interface RunOptions {
  /** Written to the program's standard input. */
  readonly input?: string;
  readonly timeoutMs?: number;
  /** A program that says more is ended. */
  readonly outputBytesMax?: number;
}

/** What comes from a program, up to a bound; then `onTooMuch`. */
class Collected {
  readonly #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(stream: Readable, bytesMax: number, onTooMuch: () => void) {
    stream.on('data', (piece: Buffer) => {
      this.#bytes += piece.length;
      if (this.#bytes > bytesMax) onTooMuch();
      else this.#pieces.push(piece);
    });
  }

  get text(): string {
    return Buffer.concat(this.#pieces).toString('utf8');
  }
}

/**
 * Runs a program to its end and gives its standard output. It has a session of its own: a Ctrl-C at the terminal is for
 * the verb, which goes on to where it can stop, or clears away; what it runs for that must not die in the middle.
 * @throws LocalError COMMAND_FAILED with the program's own words.
 */
export function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { timeoutMs = RUN_TIMEOUT_MS, outputBytesMax = OUTPUT_BYTES_MAX, input = '' } = options;
  return new Promise((done, fail) => {
    const failed = (said: string, cause?: unknown): void => {
      clearTimeout(timer);
      fail(new LocalError('COMMAND_FAILED', `${file} ${args.join(' ')}: ${said}`, undefined, { cause }));
    };
    const child = spawn(file, args, { detached: true, stdio: 'pipe' });
    let ended: string | undefined;
    const end = (why: string): void => {
      ended ??= why;
      child.kill('SIGKILL');
    };
    const tooMuch = () => {
      end(`it said more than ${outputBytesMax} bytes`);
    };
    const timer = setTimeout(end, timeoutMs, `it did not end within ${timeoutMs} ms`);
    const out = new Collected(child.stdout, outputBytesMax, tooMuch);
    const err = new Collected(child.stderr, outputBytesMax, tooMuch);
    child.on('error', (error) => {
      failed(messageOf(error), error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0 && ended === undefined) done(out.text);
      else
        failed(
          ended ?? (err.text.trim() || out.text.trim() || `ended by ${signal ?? `exit code ${code ?? '?'}`}`),
        );
    });
    child.stdin.on('error', () => undefined); // a program that ended before reading: its exit code tells
    child.stdin.end(input);
  });
}
