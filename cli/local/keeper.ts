// SPDX-License-Identifier: Apache-2.0
// Keeps a pair's controller running: starts it, and again when it has crashed. A controller whose keeper has died starts
// another keeper and ends (controller.ts), so that only the death of both at once leaves a pair without: then `protect`
// starts them, and `status` says so. To all others the two are one: "the controller", named by the keeper's pid file.
//
// usage: node build/cli/local/keeper.js PAIR
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pauseAfterMs } from '../../operator/mind/backoff.js';
import { LocalError, messageOf } from './errors.js';
import { appendEvent } from './events.js';
import { takeLock } from './lock.js';
import { writeOwnPidFile } from './processes.js';
import { loadPair } from './settings.js';

const CONTROLLER = join(import.meta.dirname, 'controller.js');
/** One that ran for so long has not failed at its start. */
const STEADY_MS = 60_000;

interface End {
  readonly code: number | null;
  readonly words: string;
}

async function endOf(controller: ChildProcess): Promise<End> {
  const [code, signal] = (await once(controller, 'exit')) as [number | null, NodeJS.Signals | null];
  return {
    code,
    words: signal === null ? `it ended with exit code ${code ?? '?'}` : `it was killed by ${signal}`,
  };
}

async function keep(pair: string, events: string): Promise<void> {
  let failures = 0;
  let controller: ChildProcess | undefined;
  const told = new AbortController();
  // The controller ends first: it takes the end of its keeper for a crash.
  process.on('SIGTERM', () => {
    told.abort();
    controller?.kill('SIGTERM');
  });
  for (;;) {
    const beganMs = performance.now();
    controller = fork(CONTROLLER, [pair], { execArgv: ['--enable-source-maps'] });
    const { code, words } = await endOf(controller);
    if (code === 0 || told.signal.aborted) return; // it was told to, or there is no such pair any more
    failures = performance.now() - beganMs >= STEADY_MS ? 1 : failures + 1;
    const pauseMs = pauseAfterMs(failures);
    appendEvent(events, 'ControllerStarted', null, `${words}; it is started again after ${pauseMs} ms`);
    await sleep(pauseMs, undefined, { signal: told.signal });
  }
}

async function main(): Promise<void> {
  const { layout } = await loadPair(process.argv[2] ?? '');
  await takeLock({
    name: `lockstep-controller-${layout.name}`,
    what: `the controller of pair '${layout.name}'`,
    who: 'its keeper',
  });
  await writeOwnPidFile(layout.controllerPid);
  await keep(layout.name, layout.events);
}

/** What ends it in order: it was told to, or another keeper is there already. */
const isInOrder = (error: unknown): boolean =>
  (error instanceof Error && error.name === 'AbortError') ||
  (error instanceof LocalError && error.code === 'STATE');

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`keeper: ${messageOf(error)}\n`);
    process.exit(isInOrder(error) ? 0 : 1);
  },
);
