// SPDX-License-Identifier: Apache-2.0
import { Option, type Command } from 'commander';
import { requireAble } from '../check/check.js';
import { Client, serverOf } from '../demo/client.js';
import type { Finished } from '../demo/reports.js';
import { tell } from '../demo/story.js';
import { Timeline } from '../demo/timeline.js';
import { pairLayout } from '../local/layout.js';
import { pairClaim, withLock } from '../local/lock.js';
import { DEFAULT_CHOICE, DEFAULT_MACHINE, makeSettings, takeDown } from '../local/pair.js';
import type { Pair } from '../local/settings.js';
import { outputOption, wholeNumber } from './options.js';
import { goOn, stopAtNextStep } from './stopping.js';
import { print, say } from './talk.js';
import { upPair } from './up.js';

const DEMO_PAIR = 'demo';
const GUEST_READY_MS = 180_000;
const PAUSE_MS = 2;
const PAUSE_MS_MAX = 1000;

interface Options {
  readonly pair: string;
  readonly pause: number;
  readonly output: 'text' | 'json';
  readonly keepOnFailure?: true;
}

async function play(pair: Pair, timeline: Timeline, pauseMs: number): Promise<Finished> {
  timeline.add(`the guest is up: Linux and redis-server under ${pair.settings.qemuBinary}`);
  const client = new Client(serverOf(pair.layout), pauseMs);
  try {
    return await tell({ pair, client, timeline, goOn });
  } finally {
    client.kill();
  }
}

async function demonstrate(pair: Pair, options: Options): Promise<void> {
  const { layout } = pair;
  const timeline = new Timeline(say);
  timeline.add('two hosts (network namespaces on a bridge), a lease store, and a VM that boots');
  await upPair(pair, GUEST_READY_MS, true);
  let kept = false;
  try {
    const { acknowledged, found } = await play(pair, timeline, options.pause);
    if (options.output === 'json') {
      print(JSON.stringify({ acknowledged, found, gaps: timeline.gaps, timeline: timeline.lines }, null, 2));
      return;
    }
    print(`\n${timeline.summary()}\n`);
    print(
      `Acknowledged ${acknowledged} increments, found ${found}: none lost, one TCP connection all the time.`,
    );
  } catch (error) {
    kept = options.keepOnFailure === true;
    throw error;
  } finally {
    if (kept) say(`the pair is left as it is: lockstep status --pair ${layout.name}`);
    else await takeDown(layout);
  }
}

async function demo(options: Options): Promise<void> {
  const layout = pairLayout(options.pair);
  await requireAble(DEFAULT_CHOICE.qemuBinary, DEFAULT_MACHINE.memoryMiB);
  const pair: Pair = { layout, settings: makeSettings(layout) };
  stopAtNextStep(say);
  await withLock(pairClaim(layout, "'lockstep demo'"), () => demonstrate(pair, options));
}

export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('see it work: kill both hosts in turn under a client that counts')
    .addOption(new Option('-p, --pair <name>', "the pair's name").default(DEMO_PAIR))
    .addOption(
      new Option('--pause <ms>', "the client's pause between a reply and its next request")
        .default(PAUSE_MS)
        .argParser(wholeNumber(0, PAUSE_MS_MAX)),
    )
    .option('--keep-on-failure', 'leave the pair up when the demonstration fails')
    .addOption(outputOption())
    .action(demo);
}
