// SPDX-License-Identifier: Apache-2.0
// What becomes of a verb whose output cannot be written: nobody reads any more, or the disk is full.
import { LocalError, messageOf, systemCode } from '../local/errors.js';

/** Nobody reads what a verb says: it ends, and that is no failure. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left where it goes',
  EDQUOT: "the disk's quota is used up",
  EFBIG: 'the file may not grow any more',
  EIO: 'the device reports an error, or the terminal is gone',
  EBADF: 'it was not open',
};

/** What a failed write to `stream` means, with its cure. */
export function outputFailure(stream: string, error: unknown): OutputClosed | LocalError {
  const code = systemCode(error);
  if (code === 'EPIPE' || code === 'ECONNRESET') return new OutputClosed(`${stream} was closed`);
  const reason = (code === undefined ? undefined : REASONS[code]) ?? messageOf(error);
  const sentence = `${stream} cannot be written: ${reason}${code === undefined ? '' : ` (${code})`}`;
  return new LocalError('COMMAND_FAILED', sentence, 'Send it elsewhere, or make room.', { cause: error });
}

/** The first failure of either stream goes to `onFailure`; those that follow say nothing new. */
export function watchOutput(onFailure: (failure: OutputClosed | LocalError) => void): void {
  let failed = false;
  const streams = [
    ['standard output', process.stdout],
    ['standard error', process.stderr],
  ] as const;
  for (const [name, stream] of streams) {
    stream.on('error', (error) => {
      if (!failed) onFailure(outputFailure(name, error));
      failed = true;
    });
  }
}
