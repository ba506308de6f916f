// SPDX-License-Identifier: Apache-2.0
// Follows what the containers of all sides say: a side that is lost takes its logs with it, and they are what a failed test
// is understood by.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { STATE } from '../../bed/settings.js';
import { kubectlCommand } from '../../bed/kubectl.js';
import { list } from './kube.js';
import type { Pod } from './vm.js';

export const FOLLOWED = join(STATE, 'sides');
const CONTAINERS = ['lockstep', 'compute'] as const;
const SELECTOR = 'lockstep.dev/vm';
const LOOK_MS = 1_000;

/** One follower for a run of the tests. */
export class Follower {
  readonly #processes = new Map<string, ChildProcess>();
  #timer: NodeJS.Timeout | undefined;
  #looking = Promise.resolve();

  start(): void {
    rmSync(FOLLOWED, { recursive: true, force: true });
    mkdirSync(FOLLOWED, { recursive: true });
    this.#timer = setInterval(() => {
      this.#looking = this.#looking.then(() => this.#look());
    }, LOOK_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    for (const child of this.#processes.values()) child.kill('SIGKILL');
  }

  async #look(): Promise<void> {
    // An API server that a test has frozen says nothing: the next look finds what this one missed.
    const pods = await list<Pod>('pods', 'default', SELECTOR).catch((): Pod[] => []);
    for (const pod of pods) for (const container of CONTAINERS) this.#follow(pod, container);
  }

  #follow({ metadata: { name, uid }, status }: Pod, container: string): void {
    const key = `${uid} ${container}`;
    const isThere = status.containerStatuses?.some(
      (one) => one.name === container && one.containerID !== undefined,
    );
    if (isThere !== true || this.#processes.has(key)) return;
    const { file, args } = kubectlCommand([
      'logs',
      '-n',
      'default',
      '-f',
      '--timestamps',
      name,
      '-c',
      container,
    ]);
    const log = openSync(join(FOLLOWED, `${name}_${container}.log`), 'a');
    this.#processes.set(key, spawn(file, args, { stdio: ['ignore', log, log] }));
    closeSync(log);
  }
}
