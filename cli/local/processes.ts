// SPDX-License-Identifier: Apache-2.0
// Processes that outlive the one that started them, found again by a pid file. A pid alone may have been
// given to another process since; pid and start time together name one process for ever (until reboot).
import { spawn } from 'node:child_process';
import { openSync, closeSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { LocalError, systemCode } from './errors.js';
import { netnsFile } from './layout.js';
import { shareSession } from './share.js';

export const processIdSchema = z.object({
  pid: z.int().positive(),
  /** Clock ticks since boot, as in /proc/PID/stat. */
  startTicks: z.string().regex(/^\d+$/),
});
export type ProcessId = z.infer<typeof processIdSchema>;

const POLL_MS = 10;

interface Stat {
  readonly state: string;
  readonly startTicks: string;
}

/** Fields 3 and 22 of /proc/PID/stat (proc(5)); the name in field 2 may hold blanks and brackets. */
async function statOf(pid: number | 'self'): Promise<Stat | undefined> {
  let text: string;
  try {
    text = await readFile(`/proc/${pid}/stat`, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ESRCH') return undefined;
    throw error;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, startTicks] = [fields[0], fields[19]];
  if (state === undefined || startTicks === undefined) return undefined;
  return { state, startTicks };
}

/** Names a running process; undefined when there is none. */
export async function identify(pid: number): Promise<ProcessId | undefined> {
  const stat = await statOf(pid);
  return stat === undefined ? undefined : { pid, startTicks: stat.startTicks };
}

export async function isAlive(id: ProcessId): Promise<boolean> {
  const stat = await statOf(id.pid);
  return stat !== undefined && stat.startTicks === id.startTicks && stat.state !== 'Z' && stat.state !== 'X';
}

/** Whom a signal goes to: the process alone, or all of the group that it leads (startDetached makes one). */
export type Whom = 'process' | 'group';

/** Sends a signal if that very process still runs; false when it does not. */
export async function signal(id: ProcessId, name: NodeJS.Signals, whom: Whom = 'process'): Promise<boolean> {
  if (!(await isAlive(id))) return false;
  try {
    process.kill(whom === 'group' ? -id.pid : id.pid, name);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return false;
    throw error;
  }
}

/** Waits until the process is gone; false when it is still there after `timeoutMs`. */
export async function waitGone(id: ProcessId, timeoutMs: number): Promise<boolean> {
  const until = performance.now() + timeoutMs;
  while (await isAlive(id)) {
    if (performance.now() >= until) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** Asks the process to end, then ends it, with its group or not. */
export async function terminate(id: ProcessId, graceMs: number, whom: Whom = 'process'): Promise<void> {
  await signal(id, 'SIGTERM', whom);
  if (await waitGone(id, graceMs)) return;
  await signal(id, 'SIGKILL', whom);
  if (!(await waitGone(id, 5000))) {
    throw new LocalError('TIMEOUT', `process ${id.pid} does not end, not even by SIGKILL`);
  }
}

/** The process named in a pid file, whether it still runs or not; undefined when there is no such file. */
export async function readPidFile(file: string): Promise<ProcessId | undefined> {
  try {
    return processIdSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** As readPidFile, but only while the process runs. */
export async function runningFrom(file: string): Promise<ProcessId | undefined> {
  const id = await readPidFile(file);
  return id !== undefined && (await isAlive(id)) ? id : undefined;
}

export async function writePidFile(file: string, id: ProcessId): Promise<void> {
  await writeFile(`${file}.part`, JSON.stringify(id) + '\n');
  await rename(`${file}.part`, file);
}

/**
 * Writes the pid file of the calling process. Its pid is taken from /proc/self, which names it as the
 * machine sees it, also from within a pid namespace.
 */
export async function writeOwnPidFile(file: string): Promise<ProcessId> {
  const text = await readFile('/proc/self/stat', 'utf8');
  const id = await identify(Number.parseInt(text, 10));
  if (id === undefined) throw new LocalError('STATE', '/proc does not show this process');
  await writePidFile(file, id);
  return id;
}

export interface Placement {
  readonly netns?: string;
  /** The program becomes pid 1 of a pid namespace: when it dies, all that it started dies with it. */
  readonly ownPids?: boolean;
}

/** The command line that runs `command` in its place. */
export function placed(command: readonly string[], placement: Placement): string[] {
  const net = placement.netns === undefined ? [] : ['nsenter', `--net=${netnsFile(placement.netns)}`, '--'];
  const pids = placement.ownPids === true ? ['unshare', '--pid', '--fork', '--kill-child=SIGKILL', '--'] : [];
  return [...net, ...pids, ...command];
}

/**
 * Starts a program that goes on when this process ends; its output is appended to `logFile`. Returns the pid of
 * the program, or with `ownPids` of the `unshare` above it.
 * @throws LocalError START_FAILED when there is no such program.
 */
export function startDetached(command: readonly string[], placement: Placement, logFile: string): number {
  const [file, ...args] = placed(command, placement);
  if (file === undefined) throw new LocalError('USAGE', 'nothing to start');
  const log = openSync(logFile, 'a');
  try {
    const child = spawn(file, args, { detached: true, stdio: ['ignore', log, log] });
    child.on('error', () => undefined); // told by the missing pid below
    child.unref();
    if (child.pid === undefined) throw new LocalError('START_FAILED', `${file} could not be run`);
    shareSession(child.pid, 'first');
    return child.pid;
  } finally {
    closeSync(log);
  }
}
