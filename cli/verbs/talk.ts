// SPDX-License-Identifier: Apache-2.0
// How verbs talk: results on standard output, progress and questions on standard error.
import { createInterface } from 'node:readline/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { LocalError } from '../local/errors.js';

const POLL_MS = 100;

export const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

export const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** As `print`, without a line's end; resolves when it was taken. What cannot be written ends the program (output.ts). */
export const write = (text: string): Promise<void> =>
  new Promise((taken) => {
    process.stdout.write(text, (error) => {
      if (!(error instanceof Error)) taken();
    });
  });

/**
 * Asks before a dangerous verb, unless a person has said `--yes`.
 * @throws LocalError DECLINED when the answer is no, or nobody is there to be asked
 */
export async function confirm(question: string, yes: boolean | undefined): Promise<void> {
  if (yes === true) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    const cure = "Say that it is meant: '--yes'. Nothing was done.";
    throw new LocalError('DECLINED', `${question} There is no terminal to ask that on`, cure);
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`${question} [y/N] `);
    if (!/^y(es)?$/i.test(answer.trim())) throw new LocalError('DECLINED', 'nothing was done');
  } finally {
    lines.close();
  }
}

/** One look at what is waited for: there, or what is the case meanwhile. */
export type Look<T> = { readonly done: T } | { readonly meanwhile: string };

/**
 * Looks again and again until it is there; each new `meanwhile` is a line of progress.
 * @throws LocalError TIMEOUT with the last `meanwhile`.
 */
export async function waitFor<T>(what: string, timeoutMs: number, look: () => Promise<Look<T>>): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let said = '';
  for (;;) {
    const seen = await look();
    if ('done' in seen) return seen.done;
    if (seen.meanwhile !== said) say(`           ... ${what}: ${seen.meanwhile}`);
    said = seen.meanwhile;
    if (performance.now() > deadline) {
      throw new LocalError('TIMEOUT', `${what}: not within ${timeoutMs / 1000} s (${said})`);
    }
    await sleep(POLL_MS);
  }
}
