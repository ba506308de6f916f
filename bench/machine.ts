// SPDX-License-Identifier: Apache-2.0
import { cpus, release } from 'node:os';
import { REPO } from '../cli/local/layout.js';
import { run } from '../cli/local/run.js';
import type { Machine } from './report.js';

export async function describeMachine(qemuBinary: string): Promise<Machine> {
  const version = await run(qemuBinary, ['--version']);
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown CPU',
    cores: all.length,
    kernel: release(),
    qemu: /version (\S+)/.exec(version)?.[1] ?? 'unknown',
    node: process.versions.node,
  };
}

/** The commit that is checked out; without git: unknown. */
export async function describeRevision(): Promise<string> {
  try {
    return (await run('git', ['-C', REPO, 'describe', '--always', '--dirty'])).trim();
  } catch {
    return 'unknown'; // an unpacked archive is as good
  }
}
