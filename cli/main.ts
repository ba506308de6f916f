#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// lockstep: the command-line program. One file per verb in verbs/; this one puts them together.
import { Command } from 'commander';
import { EXIT, endingOf, EXIT_CODES_HELP } from './exit-codes.js';
import { addCheck } from './verbs/check.js';
import { addDemo } from './verbs/demo.js';
import { addDown } from './verbs/down.js';
import { addHostVerbs } from './verbs/hosts.js';
import { addLog } from './verbs/log.js';
import { OutputClosed, watchOutput } from './verbs/output.js';
import { addProtect } from './verbs/protect.js';
import { addReset } from './verbs/reset.js';
import { addStatus } from './verbs/status.js';
import { stopFor } from './verbs/stopping.js';
import { addTestFailover } from './verbs/failover.js';
import { addUp } from './verbs/up.js';

function makeProgram(): Command {
  const program = new Command('lockstep')
    .description('A virtual machine that outlives its host: record/replay lockstep on an unmodified QEMU')
    .version('0.1.0')
    .showHelpAfterError("('lockstep --help' tells what there is)")
    .addHelpText('after', EXIT_CODES_HELP)
    .exitOverride()
    .configureHelp({ sortSubcommands: false });
  for (const add of [
    addUp,
    addProtect,
    addStatus,
    addTestFailover,
    addReset,
    addHostVerbs,
    addLog,
    addDown,
    addCheck,
    addDemo,
  ]) {
    add(program);
  }
  for (const verb of program.commands) verb.exitOverride();
  return program;
}

/** Tells a failure, and with it how the program ends. */
function tell(error: unknown): number {
  if (error instanceof OutputClosed) return EXIT.ok;
  const { exitCode, words } = endingOf(error);
  if (words !== '') process.stderr.write(`lockstep: ${words}\n`);
  return exitCode;
}

async function main(): Promise<void> {
  watchOutput((failure) => {
    if (!stopFor(failure)) process.exit(tell(failure));
  });
  await makeProgram().parseAsync();
}

main().catch((error: unknown) => {
  process.exitCode = tell(error);
});
