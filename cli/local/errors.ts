// SPDX-License-Identifier: Apache-2.0

/** What went wrong, for programs. */
export type LocalErrorCode =
  | 'USAGE' // what was asked makes no sense
  | 'UNABLE' // this machine lacks something
  | 'COMMAND_FAILED' // a program that was run failed
  | 'NO_PAIR' // there is no such pair
  | 'PAIR_EXISTS' // the pair is up already
  | 'NO_HOST' // the pair has no such host
  | 'HOST_DOWN' // the host's agent does not run
  | 'HOST_BUSY' // the host runs an incarnation already
  | 'NO_ANSWER' // a control socket did not answer in time
  | 'BAD_ANSWER' // a control socket answered what is not understood
  | 'REFUSED' // a control socket said no
  | 'START_FAILED' // sidecar or QEMU did not come up
  | 'TIMEOUT' // what was waited for did not happen
  | 'STATE' // not possible in the state that the pair is in
  | 'DECLINED'; // a person said no, or could not be asked

/** A failure that a person can do something about: `cure` says what, as a sentence. */
export class LocalError extends Error {
  constructor(
    readonly code: LocalErrorCode,
    message: string,
    readonly cure?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'LocalError';
  }
}

/** The message of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The `code` of a Node system error ('ENOENT', 'ECONNREFUSED', ...), or undefined. */
export function systemCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}

/** What `read` gives, or `otherwise` when there is no such file or folder. Every other error is thrown. */
export async function ifMissing<T>(read: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await read;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return otherwise;
    throw error;
  }
}
