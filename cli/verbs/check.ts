// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';
import { checkMachine } from '../check/check.js';
import { EXIT } from '../exit-codes.js';
import { DEFAULT_CHOICE } from '../local/pair.js';
import { memoryOption, outputOption } from './options.js';
import { table } from './status.js';
import { print } from './talk.js';

interface Options {
  readonly qemu: string;
  readonly memory: number;
  readonly output: 'text' | 'json';
}

async function check(options: Options): Promise<void> {
  const findings = await checkMachine(options.qemu, options.memory);
  const lacks = findings.filter((one) => !one.ok);
  if (lacks.length > 0) process.exitCode = EXIT.unable;
  if (options.output === 'json') {
    print(JSON.stringify({ able: lacks.length === 0, findings }, null, 2));
    return;
  }
  print(table(findings.map((one) => [one.ok ? 'ok' : 'LACK', one.name, one.found])));
  for (const one of lacks) print(`\n${one.name}: ${one.found}.\n  ${one.cure}`);
  print(lacks.length === 0 ? '\nThis machine is able.' : `\nNot able yet: ${lacks.length} to cure.`);
}

export function addCheck(program: Command): void {
  program
    .command('check')
    .description('tell whether this machine is able, and the cure of each lack')
    .option('--qemu <file>', 'which QEMU', DEFAULT_CHOICE.qemuBinary)
    .addOption(memoryOption('the memory that a VM shall have'))
    .addOption(outputOption())
    .action(check);
}
