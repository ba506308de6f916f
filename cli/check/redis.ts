// SPDX-License-Identifier: Apache-2.0
import { messageOf } from '../local/errors.js';
import { run } from '../local/run.js';
import { fine, lack, RUN_SETUP, type Finding } from './finding.js';

/** Access lists by key and scripts that read INFO came together in this release. */
const MAJOR_MIN = 7;

export async function checkRedis(): Promise<Finding> {
  try {
    const version = /v=(\d+)\.(\S+)/.exec(await run('redis-server', ['--version']));
    const words = version === null ? 'no version' : `${version[1] ?? ''}.${version[2] ?? ''}`;
    if (Number(version?.[1]) >= MAJOR_MIN) return fine('Redis', words);
    return lack('Redis', words, `Install redis-server ${MAJOR_MIN} or later. ${RUN_SETUP}`);
  } catch (error) {
    return lack('Redis', messageOf(error), `Install redis-server. ${RUN_SETUP}`);
  }
}
