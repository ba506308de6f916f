// SPDX-License-Identifier: Apache-2.0
// Programs that the bed runs: short ones for their answer, long ones with their output in a log.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LocalError } from '../../../cli/local/errors.js';
import { run, type RunOptions } from '../../../cli/local/run.js';
import { CONTAINERS_CONF, KUBECONFIG, LOGS } from './settings.js';

const TAIL_LINES = 25;
/** After this a program that was told to end is killed. */
const END_GRACE_MS = 10_000;

/** For all that is run here and in kind: podman's settings, the provider, the private kubeconfig. */
export const ENVIRONMENT: Readonly<Record<string, string>> = {
  CONTAINERS_CONF,
  KIND_EXPERIMENTAL_PROVIDER: 'podman',
  KUBECONFIG,
};

/** Makes the environment that of this process too, for programs run by other modules. Once, at start. */
export function useEnvironment(): void {
  Object.assign(process.env, ENVIRONMENT);
}

/** Short programs need seconds at most; a machine that builds things on two cores makes them wait. */
const ASK_TIMEOUT_MS = 180_000;

/** Runs a short program for its answer. */
export const ask = (file: string, args: readonly string[], options: RunOptions = {}): Promise<string> =>
  run(file, args, { timeoutMs: ASK_TIMEOUT_MS, ...options });

export const podman = (args: readonly string[], options: RunOptions = {}): Promise<string> =>
  ask('podman', args, options);

/** Runs a program on a node, as root in all of its namespaces. */
export const onNode = (node: string, command: readonly string[], options: RunOptions = {}): Promise<string> =>
  podman(['exec', ...(options.input === undefined ? [] : ['-i']), node, ...command], options);

export interface LongRun {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** Name of the log, without folder and extension. Appended to, so that a stage of several commands has one. */
  readonly log: string;
}

async function tailOf(file: string): Promise<string> {
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  return lines.slice(-TAIL_LINES).join('\n');
}

/**
 * Runs a program with its output in a log, in a process group of its own that is ended as a whole.
 * @throws LocalError COMMAND_FAILED or TIMEOUT with the end of the log.
 */
export async function runLong(file: string, args: readonly string[], options: LongRun): Promise<void> {
  mkdirSync(LOGS, { recursive: true });
  const log = join(LOGS, `${options.log}.log`);
  const output = openSync(log, 'a');
  const child = spawn(file, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
    stdio: ['ignore', output, output],
    detached: true,
  });
  closeSync(output);
  const killGroup = (signal: NodeJS.Signals) => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, signal);
  };
  const forward = () => killGroup('SIGTERM');
  process.on('exit', forward);
  const limit = new AbortController();
  const timer = setTimeout(() => {
    limit.abort();
    killGroup('SIGTERM');
    setTimeout(() => killGroup('SIGKILL'), END_GRACE_MS).unref();
  }, options.timeoutMs);
  const code = await new Promise<number | null>((done, fail) => {
    child.once('error', fail);
    child.once('close', done);
  }).finally(() => {
    clearTimeout(timer);
    process.off('exit', forward);
  });
  const late = limit.signal.aborted;
  if (code === 0 && !late) return;
  const what = `${file} ${args.slice(0, 3).join(' ')}`;
  const how = late ? `not within ${options.timeoutMs / 1000} s` : `exit code ${code ?? 'none'}`;
  throw new LocalError(
    late ? 'TIMEOUT' : 'COMMAND_FAILED',
    `${what}: ${how}. The end of ${log}:\n${await tailOf(log)}`,
  );
}
