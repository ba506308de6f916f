// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CopyStatus } from '../../sidecar/runtime/disks/disks.js';
import { loadPair } from '../local/settings.js';
import { pairStatus, type HostStatus, type PairStatus } from '../local/status.js';
import { outputOption, pairOption } from './options.js';
import { print } from './talk.js';

const WATCH_MS = 1000;
const CLEAR_SCREEN = '\x1b[H\x1b[2J';

/** What a host is, in a few words. */
const KIND_WORDS: Record<HostStatus['kind'], string> = {
  dead: 'no power',
  deaf: 'does not answer',
  idle: 'free',
  starting: 'starting',
  silent: 'sidecar does not answer',
  ended: 'ended',
  alone: 'primary, alone',
  pairing: 'primary, making a backup',
  guarded: 'primary',
  deciding: 'deciding',
  backup: 'backup',
};

/** Columns as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]) =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return rows.map((row) => line(row).trimEnd()).join('\n');
}

const cell = (value: string | number | null): string => (value === null ? '-' : String(value));

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

const sizeText = (bytes: number): string =>
  bytes < GIB ? `${(bytes / MIB).toFixed(0)} MiB` : `${(bytes / GIB).toFixed(1)} GiB`;

function durationText(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes === 0) return `${String(seconds)} s`;
  return minutes < 60
    ? `${String(minutes)} min ${String(seconds % 60)} s`
    : `${String(Math.floor(minutes / 60))} h ${String(minutes % 60)} min`;
}

export function copyText({ doneBytes, totalBytes, bytesPerSecond, secondsLeft }: CopyStatus): string {
  const percent = totalBytes === 0 ? 100 : Math.floor((100 * doneBytes) / totalBytes);
  const left = secondsLeft === null ? 'time left not known yet' : `about ${durationText(secondsLeft)} left`;
  return `copying the disks to the new backup: ${String(percent)} % (${sizeText(doneBytes)} of ${sizeText(totalBytes)}), ${sizeText(bytesPerSecond)}/s, ${left}`;
}

export function statusText(status: PairStatus): string {
  const why = [status.state, status.reason].filter((word) => word !== null).join(', ');
  const { guest } = status;
  const failover = status.lastFailover;
  const notes = [
    status.lag === null ? '' : `lag ${status.lag}`,
    failover === null ? '' : `last failover ${failover.at}, live after ${failover.goLiveMs.toFixed(0)} ms`,
    status.leaseTrouble === null ? '' : `LEASE STORE: ${status.leaseTrouble}`,
    status.controllerRuns ? '' : "THE CONTROLLER DOES NOT RUN ('lockstep protect' starts it again)",
  ].filter((note) => note !== '');
  return [
    `pair '${status.pair}': ${status.status}${why === '' ? '' : ` (${why})`}`,
    `guest ${guest.ip}, Redis on port ${guest.redisPort}; protection is ${status.protectionWanted ? 'on' : 'off'}`,
    ...(notes.length === 0 ? [] : [notes.join('; ')]),
    ...(status.diskCopy === null ? [] : [copyText(status.diskCopy)]),
    ...(status.whyNoBackup === null ? [] : [`no backup: ${status.whyNoBackup}`]),
    '',
    table([
      ['HOST', 'ADDRESS', 'IS', 'PHASE', 'EPOCH', 'INCARNATION'],
      ...status.hosts.map((host) => [
        host.name,
        host.ip,
        KIND_WORDS[host.kind],
        cell(host.phase),
        cell(host.epoch),
        cell(host.nonce?.slice(0, 8) ?? null),
      ]),
    ]),
  ].join('\n');
}

interface Options {
  readonly pair: string;
  readonly output: 'text' | 'json';
  readonly watch?: true;
}

async function status(options: Options): Promise<void> {
  const pair = await loadPair(options.pair);
  const show = async () => {
    const now = await pairStatus(pair);
    if (options.output === 'json') return JSON.stringify(now, null, options.watch ? 0 : 2);
    return statusText(now);
  };
  if (options.watch === undefined) {
    print(await show());
    return;
  }
  const redraws = options.output === 'text' && process.stdout.isTTY;
  for (;;) {
    print(`${redraws ? CLEAR_SCREEN : ''}${await show()}`);
    await sleep(WATCH_MS);
  }
}

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('tell what runs where, and whether the VM is protected')
    .addOption(pairOption())
    .addOption(outputOption())
    .option('-w, --watch', 'again every second, until interrupted')
    .action(status);
}
