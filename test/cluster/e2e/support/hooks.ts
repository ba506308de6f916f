// SPDX-License-Identifier: Apache-2.0
// After a test that failed: the logs of all pods, nodes and sidecars are kept, and how to run it again is said.
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context, RootHookObject } from 'mocha';
import { keepLogs } from '../../bed/logs.js';
import { STATE } from '../../bed/settings.js';
import { Follower, FOLLOWED } from './follow.js';

/** For a folder's name. Pure. */
export const folderOf = (title: string): string =>
  title
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')
    .slice(0, 80);

const follower = new Follower();

export const HOOKS: RootHookObject = {
  beforeAll() {
    follower.start();
  },
  afterAll: () => follower.stop(),
  async afterEach(this: Context) {
    const { currentTest } = this;
    if (currentTest?.state !== 'failed') return;
    const folder = join(STATE, 'failed', folderOf(currentTest.fullTitle()));
    await rm(folder, { recursive: true, force: true });
    await keepLogs(folder);
    await cp(FOLLOWED, join(folder, 'sides'), { recursive: true });
    const suite = currentTest.parent?.fullTitle() ?? '';
    process.stdout.write(`      logs are in ${folder}\n`);
    process.stdout.write(`      again: npm run test:cluster -- --grep '${suite}'\n`);
  },
};
