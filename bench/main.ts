#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// npm run bench: measures what is claimed, on this machine. One file per measurement in measure/.
import { Command } from 'commander';
import { writeFile } from 'node:fs/promises';
import { requireAble } from '../cli/check/check.js';
import { endingOf } from '../cli/exit-codes.js';
import { LocalError, messageOf } from '../cli/local/errors.js';
import { DEFAULT_CHOICE } from '../cli/local/pair.js';
import { print, say } from '../cli/verbs/talk.js';
import { Cleanup } from './cleanup.js';
import { describeMachine, describeRevision } from './machine.js';
import { busy } from './measure/busy.js';
import { clock } from './measure/clock.js';
import { clone } from './measure/clone.js';
import { cluster } from './measure/cluster.js';
import { cut } from './measure/cut.js';
import { guest } from './measure/guest.js';
import { kill } from './measure/kill.js';
import { latency } from './measure/latency.js';
import { load } from './measure/load.js';
import { reportJson, reportText, type Section } from './report.js';
import { FULL, QUICK, Stage, type Measurement } from './stage.js';

const MEASUREMENTS: readonly Measurement[] = [kill, cut, busy, latency, load, guest, clock, clone, cluster];
const JSON_FILE = 'build/bench.json';
const INTERRUPTED = 130;
/** The largest guest that a measurement starts (measure/clone.ts). */
const GUEST_MIB_MAX = 1024;

interface Options {
  readonly only?: string[];
  readonly quick?: true;
  readonly json: string;
}

function chosen(names: readonly string[] | undefined): Measurement[] {
  for (const name of names ?? []) {
    if (MEASUREMENTS.some((one) => one.name === name)) continue;
    const all = MEASUREMENTS.map((one) => one.name).join(', ');
    throw new LocalError('USAGE', `there is no measurement '${name}'`, `There are: ${all}.`);
  }
  return MEASUREMENTS.filter((one) => names?.includes(one.name) ?? one.onlyWhenNamed !== true);
}

/** A measurement that fails is told as such; the others are made all the same. */
async function measure(measurement: Measurement, stage: Stage): Promise<Section> {
  const { name, title } = measurement;
  say(`\n${title}`);
  const startedAt = performance.now();
  try {
    const found = await measurement.run(stage);
    say(`${name}: done in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
    return { name, title, ...found };
  } catch (error) {
    say(`${name}: FAILED: ${messageOf(error)}`);
    const kept = await stage.keepLogs(name);
    if (kept !== null) say(`${name}: logs kept in ${kept}`);
    await stage.clear(); // the next one starts on a pair in order
    return { name, title, rows: [], notes: [`FAILED: ${messageOf(error)}`], failed: true };
  }
}

async function bench(options: Options): Promise<void> {
  const measurements = chosen(options.only);
  const { qemuBinary } = DEFAULT_CHOICE;
  await requireAble(qemuBinary, GUEST_MIB_MAX);
  const cleanup = new Cleanup();
  const interrupt = () => {
    say('interrupted: clearing away');
    cleanup.run().then(
      (failed) => {
        for (const words of failed) say(words);
        process.exit(INTERRUPTED);
      },
      () => process.exit(INTERRUPTED),
    );
  };
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  const sections: Section[] = [];
  try {
    const stage = new Stage(options.quick === true ? QUICK : FULL, cleanup, say);
    for (const one of measurements) sections.push(await measure(one, stage));
  } finally {
    for (const words of await cleanup.run()) say(`could not be cleared away: ${words}`);
  }
  const report = {
    at: new Date().toISOString(),
    revision: await describeRevision(),
    quick: options.quick === true,
    machine: await describeMachine(qemuBinary),
    sections,
  };
  await writeFile(options.json, reportJson(report));
  print(`\n${reportText(report)}\n\nThe same for programs: ${options.json}`);
  if (sections.some((section) => section.failed === true)) process.exitCode = 1;
}

const collect = (name: string, before: string[] | undefined): string[] => [...(before ?? []), name];

new Command('bench')
  .description('measure, on this machine, what is claimed; a missed aim is shown as missed')
  .option(
    '--only <name>',
    `one measurement; may be repeated: ${MEASUREMENTS.map((m) => m.name).join(', ')}`,
    collect,
  )
  .option('--quick', 'few repeats: about 4 minutes, and an orientation only')
  .option('--json <file>', 'where to write the results for programs', JSON_FILE)
  .action(bench)
  .exitOverride()
  .parseAsync()
  .catch((error: unknown) => {
    const { exitCode, words } = endingOf(error);
    if (words !== '') say(`bench: ${words}`);
    process.exitCode = exitCode;
  });
