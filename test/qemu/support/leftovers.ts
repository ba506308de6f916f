// SPDX-License-Identifier: Apache-2.0
// What of a pair is still on this machine.
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { systemCode } from '../../../cli/local/errors.js';
import type { PairLayout } from '../../../cli/local/layout.js';
import { existingNamespaces, pidsIn } from '../../../cli/local/network.js';

async function readOrEmpty(file: string): Promise<string> {
  try {
    return await readFile(file, 'latin1');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(systemCode(error) ?? '')) return ''; // it ended while we looked
    throw error;
  }
}

/** A running process, by its command line; null: none, or one that has ended and was not waited for yet. */
async function commandOf(pid: string): Promise<string | null> {
  const state = /^State:\s+(\S)/m.exec(await readOrEmpty(`/proc/${pid}/status`))?.[1];
  if (state === undefined || state === 'Z' || state === 'X') return null;
  return (await readOrEmpty(`/proc/${pid}/cmdline`)).replaceAll('\0', ' ').trim();
}

/** Processes that belong to the pair: by what their command lines name, or by the namespace they run in. */
export async function processesOf(layout: PairLayout): Promise<{ pid: number; command: string }[]> {
  const inside = new Set<number>();
  for (const netns of await existingNamespaces(layout)) {
    for (const pid of await pidsIn(netns)) inside.add(pid);
  }
  const ours = new RegExp(`${layout.dir}/|/(agent|controller|keeper)\\.js ${layout.name}( |$)`);
  const found: { pid: number; command: string }[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const command = await commandOf(pid);
    if (command !== null && (inside.has(Number(pid)) || ours.test(command))) {
      found.push({ pid: Number(pid), command });
    }
  }
  return found;
}

/** Everything of a pair that was taken down: must be empty. */
export async function leftoversOf(layout: PairLayout): Promise<string[]> {
  const shm = dirname(layout.ringPrefix);
  const rings = (await readdir(shm)).filter((name) => name.startsWith(basename(layout.ringPrefix)));
  const folders = (await readdir(dirname(layout.dir))).filter((name) => name === basename(layout.dir));
  return [
    ...(await processesOf(layout)).map(({ pid, command }) => `process ${pid}: ${command}`),
    ...(await existingNamespaces(layout)).map((name) => `namespace ${name}`),
    ...rings.map((name) => `ring ${name}`),
    ...folders.map((name) => `folder ${name}`),
  ];
}
