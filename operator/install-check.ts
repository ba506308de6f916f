#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/** `node build/operator/install-check.js`: waits until an installation really works, and says what is missing. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { Command, InvalidArgumentError } from 'commander';
import { questionsToApi } from './install/api.js';
import { questionToStore, readStoreSecret } from './install/store.js';
import { waitForAll, type Clock } from './install/wait.js';
import { RestApi } from './kit/rest.js';

const MS_PER_S = 1_000;
const NONCE_BYTES = 16;

function positive(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number <= 0)
    throw new InvalidArgumentError('a whole number above 0 is needed.');
  return number;
}

interface Options {
  readonly namespace: string;
  readonly store: string;
  readonly timeoutSeconds: number;
}

const program = new Command('lockstep-install-check')
  .requiredOption('--namespace <name>', 'where Lockstep is installed')
  .requiredOption('--store <folder>', 'the mounted Secret of the lease store')
  .option('--timeout-seconds <n>', 'gives up after so long', positive, 180)
  .parse();
const { namespace, store, timeoutSeconds } = program.opts<Options>();

const clock: Clock = { nowMs: () => performance.now(), pause: (ms) => sleep(ms) };
const kubeConfig = new KubeConfig();
kubeConfig.loadFromDefault();
const api = new RestApi(kubeConfig);
const nonce = randomBytes(NONCE_BYTES).toString('hex');
const trial = { options: () => readStoreSecret(store), vm: `install-check-${nonce.slice(0, 8)}`, nonce };
const unanswered = await waitForAll([...questionsToApi(api, namespace), questionToStore(trial)], {
  timeoutMs: timeoutSeconds * MS_PER_S,
  clock,
  say: (line) => process.stdout.write(`${line}\n`),
});
api.close();
if (unanswered.length > 0) {
  process.stderr.write(`Lockstep does not work yet, after ${timeoutSeconds} s:\n`);
  for (const { about, why } of unanswered) process.stderr.write(`  ${about}: ${why}\n`);
  process.exitCode = 1;
}
