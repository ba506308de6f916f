// SPDX-License-Identifier: Apache-2.0
// What a pair looks like when a test has failed, in lines: on a machine that nobody can look at, all that there is to find
// the reason by.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, systemCode } from '../../../cli/local/errors.js';
import type { PairLayout } from '../../../cli/local/layout.js';
import { run } from '../../../cli/local/run.js';
import { loadPair } from '../../../cli/local/settings.js';
import { pairStatus, type HostStatus } from '../../../cli/local/status.js';

const LINES_OF_A_LOG = 12;
const LINE_CHARS_MAX = 300;
const TOLD_OF = /(?:\.log|events\.jsonl)$/;
/** The guest's console, which has its own length, and the lease store's, which tells of its start only. */
const NOT_TOLD = /serial\.log|redis\.log/;
const OOM_KILL = /oom-kill/i;
const OOM_LINES_MAX = 3;
const NO_NEWS = /warning: TCG doesn't support requested feature/;

/** A thread's name, its state, and where in the kernel it waits. */
async function threadOf(pid: number, tid: string): Promise<string> {
  const read = (name: string): Promise<string> => readFile(`/proc/${pid}/task/${tid}/${name}`, 'latin1');
  const [comm, status, wchan] = await Promise.all([read('comm'), read('status'), read('wchan')]);
  return `${comm.trim()} ${/^State:\s+(\S)/m.exec(status)?.[1] ?? '?'} ${wchan}`;
}

async function threadsOf(pid: number): Promise<string> {
  try {
    const tids = await readdir(`/proc/${pid}/task`);
    return (await Promise.all(tids.map((tid) => threadOf(pid, tid)))).join(', ');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(systemCode(error) ?? '')) return 'it has ended';
    throw error;
  }
}

async function hostLines({
  name,
  kind,
  phase,
  epoch,
  nonce,
  qemuPid,
  sidecar,
}: HostStatus): Promise<string[]> {
  return [
    `host ${name}: ${kind} ${phase ?? '-'} epoch ${epoch ?? '-'} nonce ${nonce ?? '-'}`,
    `  its sidecar: ${JSON.stringify(sidecar)}`,
    ...(qemuPid === null ? [] : [`  its QEMU ${qemuPid}: ${await threadsOf(qemuPid)}`]),
  ];
}

async function statusLines(name: string): Promise<string[]> {
  const { status, state, reason, epoch, primary, backup, whyNoBackup, hosts } = await pairStatus(
    await loadPair(name),
  );
  const pair = { status, state, reason, epoch, primary, backup, whyNoBackup };
  return [JSON.stringify(pair), ...(await Promise.all(hosts.map(hostLines))).flat()];
}

async function logLines({ dir }: PairLayout): Promise<string[]> {
  const files = (await readdir(dir, { recursive: true }))
    .filter((file) => TOLD_OF.test(file) && !NOT_TOLD.test(file))
    .sort();
  const tails = files.map(async (file) => {
    const lines = (await readFile(join(dir, file), 'utf8')).split('\n');
    const news = lines.filter((line) => line !== '' && !NO_NEWS.test(line));
    return news.length === 0 ? [] : [`${file}:`, ...news.slice(-LINES_OF_A_LOG)];
  });
  return (await Promise.all(tails)).flat();
}

const loadLines = async (): Promise<string[]> => [
  `load ${(await readFile('/proc/loadavg', 'latin1')).trim()}`,
];

/** Was memory so short that the kernel ended something. */
const shortageLines = async (): Promise<string[]> =>
  (await run('dmesg', []))
    .split('\n')
    .filter((line) => OOM_KILL.test(line))
    .slice(-OOM_LINES_MAX);

/** A part that cannot be told says why: the others are told all the same. */
async function part(what: string, lines: () => Promise<string[]>): Promise<string[]> {
  try {
    return await lines();
  } catch (error) {
    return [`${what}: ${messageOf(error)}`];
  }
}

export async function sceneOf(layout: PairLayout): Promise<string[]> {
  const parts = [
    await part('status', () => statusLines(layout.name)),
    await part('logs', () => logLines(layout)),
    await part('load', loadLines),
    await part('dmesg', shortageLines),
  ];
  return parts.flat().map((line) => line.slice(0, LINE_CHARS_MAX));
}
