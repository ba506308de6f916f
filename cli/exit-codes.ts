// SPDX-License-Identifier: Apache-2.0
// Exit codes that scripts can rely on.
import { CommanderError } from 'commander';
import { LocalError, messageOf, type LocalErrorCode } from './local/errors.js';

export const EXIT = {
  ok: 0,
  /** Tried and failed. */
  failed: 1,
  /** What was asked makes no sense. */
  usage: 2,
  /** This machine lacks something; `lockstep check` tells what. */
  unable: 3,
  /** Not in the state that the pair is in (none up, host without power, not protected, ...). */
  state: 4,
  /** Did not happen within its time-out; it may still happen. */
  timeout: 5,
  /** A person said no, or there was none to be asked. */
  declined: 6,
} as const;

export const EXIT_CODES_HELP = `
Exit codes:
  0  done
  1  tried and failed
  2  what was asked makes no sense
  3  this machine lacks something ('lockstep check' tells what)
  4  not in the state that the pair is in
  5  did not happen within the time-out
  6  the question was answered with no, or could not be asked (say '--yes')`;

const BY_CODE: Record<LocalErrorCode, number> = {
  USAGE: EXIT.usage,
  UNABLE: EXIT.unable,
  COMMAND_FAILED: EXIT.failed,
  NO_PAIR: EXIT.state,
  PAIR_EXISTS: EXIT.state,
  NO_HOST: EXIT.usage,
  HOST_DOWN: EXIT.state,
  HOST_BUSY: EXIT.state,
  NO_ANSWER: EXIT.failed,
  BAD_ANSWER: EXIT.failed,
  REFUSED: EXIT.failed,
  START_FAILED: EXIT.failed,
  TIMEOUT: EXIT.timeout,
  STATE: EXIT.state,
  DECLINED: EXIT.declined,
};

export interface Ending {
  readonly exitCode: number;
  /** Empty when all is said already. */
  readonly words: string;
}

/** How the program ends after `thrown`. */
export function endingOf(thrown: unknown): Ending {
  if (thrown instanceof CommanderError) {
    // Commander has written its own words; help and version are no failures.
    return { exitCode: thrown.exitCode === 0 ? EXIT.ok : EXIT.usage, words: '' };
  }
  if (thrown instanceof LocalError) {
    const cure = thrown.cure === undefined ? '' : `\n${thrown.cure}`;
    return { exitCode: BY_CODE[thrown.code], words: `${thrown.message.replace(/\.$/, '')}.${cure}` };
  }
  return { exitCode: EXIT.failed, words: messageOf(thrown) };
}
