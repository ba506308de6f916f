// SPDX-License-Identifier: Apache-2.0
// How a verb that makes something is stopped half-way: by Ctrl-C, by its terminal going away, by nobody reading what it
// says. It goes on to its next step, finds out there, and clears away what it has made.
import { LocalError } from '../local/errors.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const stopping = new AbortController();
let clearsAway = false;

/** From now on signals and lost outputs do not end the program: `goOn` throws instead. `say` tells a person so. */
export function stopAtNextStep(say: (line: string) => void): void {
  if (clearsAway) return;
  clearsAway = true;
  for (const name of SIGNALS) {
    process.on(name, () => {
      if (!stopping.signal.aborted) say('interrupted: clearing away');
      stopping.abort(new LocalError('DECLINED', 'interrupted'));
    });
  }
}

/** False when nobody would clear away: then the program should end at once. */
export function stopFor(reason: Error): boolean {
  stopping.abort(reason);
  return clearsAway;
}

/** @throws what the verb was stopped for. */
export function goOn(): void {
  stopping.signal.throwIfAborted();
}

/**
 * Waits for something that leaves nothing behind when it is given up.
 * @throws what the verb was stopped for, at once.
 */
export function unlessStopped<T>(work: Promise<T>): Promise<T> {
  const { signal } = stopping;
  return new Promise<T>((done, fail) => {
    const stop = () => {
      fail(signal.reason as Error);
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(done, fail).finally(() => {
      signal.removeEventListener('abort', stop);
    });
  });
}
