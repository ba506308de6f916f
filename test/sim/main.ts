// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from 'node:util';
import { originalFolder, MUTANTS, withMutant } from './mutants.js';
import { loadProduct } from './product.js';
import { runSeed } from './run.js';
import { report, Statistics } from './statistics.js';

const USAGE = `usage: npm run sim -- [--seeds N] [--start S]   N seeds from S on
       npm run sim -- --seed N                  one seed, with its trace
       npm run sim -- --mutants [--seeds K]     K seeds on each changed copy of the protocol
       add --mutant NAME to run seeds on one of: ${MUTANTS.map((mutant) => mutant.name).join(' ')}`;

function count(text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`'${text}' is not a count\n${USAGE}`);
  return value;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function oneSeed(folder: string, seed: number): Promise<number> {
  const outcome = runSeed(await loadProduct(folder), seed, say);
  say(outcome.violation === null ? `seed ${seed}: all held` : `seed ${seed}: ${outcome.violation}`);
  return outcome.violation === null ? 0 : 1;
}

async function manySeeds(folder: string, seeds: number, start: number, repeat: string): Promise<number> {
  const product = await loadProduct(folder);
  const statistics = new Statistics();
  for (let seed = start; seed < start + seeds; seed += 1) {
    const outcome = runSeed(product, seed);
    statistics.add(outcome);
    if (outcome.violation !== null)
      say(`seed ${seed}: ${outcome.violation}\n  again: npm run sim -- --seed ${seed}${repeat}`);
  }
  say(report(statistics));
  return statistics.failed === 0 ? 0 : 1;
}

async function allMutants(seeds: number, start: number): Promise<number> {
  let missed = 0;
  for (const mutant of MUTANTS) {
    const statistics = new Statistics();
    await withMutant(mutant, async (folder) => {
      const product = await loadProduct(folder);
      for (let seed = start; seed < start + seeds; seed += 1) statistics.add(runSeed(product, seed));
    });
    if (statistics.failed === 0) missed += 1;
    say(
      `${mutant.name.padEnd(28)} caught by ${String(statistics.failed).padStart(5)} of ${seeds} seeds  ${statistics.commonest()}`,
    );
  }
  return missed === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      start: { type: 'string' },
      seed: { type: 'string' },
      mutant: { type: 'string' },
      mutants: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) {
    say(USAGE);
    return 0;
  }
  const start = count(values.start, 1);
  if (values.mutants === true) return allMutants(count(values.seeds, 200), start);
  const run = async (folder: string): Promise<number> =>
    values.seed === undefined
      ? manySeeds(
          folder,
          count(values.seeds, 200),
          start,
          values.mutant === undefined ? '' : ` --mutant ${values.mutant}`,
        )
      : oneSeed(folder, count(values.seed, 0));
  if (values.mutant === undefined) return run(originalFolder());
  const mutant = MUTANTS.find(({ name }) => name === values.mutant);
  if (mutant === undefined) throw new Error(`there is no mutant '${values.mutant}'\n${USAGE}`);
  return withMutant(mutant, run);
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  },
);
