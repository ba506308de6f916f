// SPDX-License-Identifier: Apache-2.0
// log dump and log summary: a log, readable.
import { Option, type Command } from 'commander';
import type * as Log from '../../sidecar/io/log/index.js';
import { LocalError, messageOf } from '../local/errors.js';
import { loadPair } from '../local/settings.js';
import { observeHost } from '../local/observe.js';
import { RUN_SETUP } from '../check/finding.js';
import { outputOption, pairOption, wholeNumber } from './options.js';
import { print, say, write } from './talk.js';

const POSITION = wholeNumber(0, Number.MAX_SAFE_INTEGER);
/** A host's name, as in `status`; anything else is a file. */
const HOST_NAME = /^[a-z]$/;

/** The functions need the add-on, which may not be built yet; other verbs must work all the same. */
async function loadLog(): Promise<typeof Log> {
  try {
    return await import('../../sidecar/io/log/index.js');
  } catch (error) {
    throw new LocalError('UNABLE', messageOf(error), RUN_SETUP, { cause: error });
  }
}

async function fileOf(what: string, pairName: string): Promise<string> {
  if (!HOST_NAME.test(what)) return what;
  const { layout } = await loadPair(pairName);
  const host = layout.hosts.find((one) => one.name === what);
  if (host === undefined) return what;
  const ring = (await observeHost(host)).agent?.incarnation?.ringFile;
  if (ring !== undefined) return ring;
  throw new LocalError('STATE', `nothing runs on host ${what}`, 'Name a ring or a log file.');
}

/** Gives a log's own errors their exit codes. */
function asLocal(log: typeof Log, error: unknown): unknown {
  if (!(error instanceof log.LogError)) return error;
  const code = error.code === 'LOG_NO_SUCH_KIND' ? 'USAGE' : 'COMMAND_FAILED';
  return new LocalError(code, error.message, undefined, { cause: error });
}

/** Opens a log for as long as `read` takes. */
async function withLog(
  what: string,
  options: { readonly pair: string; readonly base?: number },
  read: (log: typeof Log, source: Log.LogSource) => void | Promise<void>,
): Promise<void> {
  const log = await loadLog();
  const file = await fileOf(what, options.pair);
  try {
    const source = log.openLog(file, { baseLsn: options.base ?? null });
    try {
      if (!source.beginKnown)
        say('the ring has been overwritten: reading begins where events can be made out');
      await read(log, source);
    } finally {
      source.close();
    }
  } catch (error) {
    throw asLocal(log, error);
  }
}

interface DumpOptions {
  readonly pair: string;
  readonly base?: number;
  readonly kinds?: string;
  readonly from: number;
  readonly to: number;
  readonly count?: number;
  readonly output: 'text' | 'json';
}

/** Lines are handed on when so many characters have come together, or the log has ended. */
const WRITE_CHARS = 64 * 1024;

/** The lines of a dump, several at once; ends with what is to be said of the log's end. */
function* dumped(
  log: typeof Log,
  source: Log.LogSource,
  options: DumpOptions,
): Generator<string, string | null, undefined> {
  const kinds = options.kinds === undefined ? null : log.parseKinds(options.kinds);
  const all = log.events(source, { kinds, from: options.from, to: options.to });
  let text = '';
  let remark: string | null = null;
  for (let shown = 0; shown < (options.count ?? Number.POSITIVE_INFINITY); shown++) {
    const { value, done } = all.next();
    if (done === true) {
      if (value.incompleteBytes > 0)
        remark = `the last ${value.incompleteBytes} bytes are an incomplete event`;
      break;
    }
    text += `${options.output === 'json' ? JSON.stringify(log.eventToJson(value)) : log.describeEvent(value)}\n`;
    if (text.length < WRITE_CHARS) continue;
    yield text;
    text = '';
  }
  if (text !== '') yield text;
  return remark;
}

/** Each piece waits until the one before has been taken: a reader that is slow holds the reading, one that leaves ends it. */
async function dumpSource(log: typeof Log, source: Log.LogSource, options: DumpOptions): Promise<void> {
  const pieces = dumped(log, source, options);
  for (;;) {
    const { value, done } = pieces.next();
    if (done === true) {
      if (value !== null) say(value);
      return;
    }
    await write(value);
  }
}

interface SummaryOptions {
  readonly pair: string;
  readonly base?: number;
  readonly output: 'text' | 'json';
}

function summarise(log: typeof Log, source: Log.LogSource, options: SummaryOptions): void {
  const summary = log.summarize(source);
  const { fault, instructions, ...rest } = summary;
  const plain = { ...rest, instructions: String(instructions), fault: fault?.message ?? null };
  print(options.output === 'json' ? JSON.stringify(plain, null, 2) : log.describeSummary(summary));
  if (fault !== null) throw fault;
}

const baseOption = (): Option =>
  new Option('--base <position>', "for a piece of a log: its first byte's position").argParser(POSITION);

export function addLog(program: Command): void {
  const log = program.command('log').description('look into a log: a ring in use, or a file').exitOverride();
  log
    .command('dump')
    .description('every event, one a line: position, instructions so far, kind, payload')
    .argument('<log>', "a host's name, a ring, or a log file")
    .addOption(pairOption())
    .option('-k, --kinds <kinds>', "only these, for instance 'net,clock'")
    .addOption(new Option('--from <position>', 'events from here on').default(0).argParser(POSITION))
    .addOption(
      new Option('--to <position>', 'events before this')
        .default(Number.MAX_SAFE_INTEGER, 'the end')
        .argParser(POSITION),
    )
    .addOption(
      new Option('-n, --count <n>', 'not more than this many').argParser(
        wholeNumber(1, Number.MAX_SAFE_INTEGER),
      ),
    )
    .addOption(baseOption())
    .addOption(outputOption())
    .exitOverride()
    .action((what: string, options: DumpOptions) =>
      withLog(what, options, (functions, source) => dumpSource(functions, source, options)),
    );
  log
    .command('summary')
    .description('how many events and bytes of each kind')
    .argument('<log>', "a host's name, a ring, or a log file")
    .addOption(pairOption())
    .addOption(baseOption())
    .addOption(outputOption())
    .exitOverride()
    .action((what: string, options: SummaryOptions) =>
      withLog(what, options, (functions, source) => summarise(functions, source, options)),
    );
}
