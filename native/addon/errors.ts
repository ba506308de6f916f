// SPDX-License-Identifier: Apache-2.0

/** What went wrong, for programs. The message says what to do about it. */
export type AddonErrorCode =
  | 'ADDON_MISSING'
  | 'INVALID_ARGUMENT'
  | 'RING_EXISTS'
  | 'RING_MISSING'
  | 'RING_NO_SPACE'
  | 'RING_NOT_PERMITTED'
  | 'RING_CONTRACT'
  | 'RING_CORRUPT'
  | 'RING_CLOSED'
  | 'RING_READ_ONLY'
  | 'RING_FULL'
  | 'RING_NOT_PRODUCER'
  | 'RING_LOG_LOST'
  | 'RING_RANGE'
  | 'RING_WATCHED'
  | 'TAP_BUSY'
  | 'TAP_NOT_PERMITTED'
  | 'TAP_NO_DEVICE'
  | 'TAP_REFUSED'
  | 'TAP_STARTED'
  | 'TAP_CLOSED'
  | 'TAP_DOWN'
  | 'TAP_GONE'
  | 'FDS_TRUNCATED'
  | 'FDS_TIMEOUT'
  | 'IMAGE_LOCKED'
  | 'IMAGE_NO_HOLES'
  | 'UFFD_NOT_PERMITTED'
  | 'UFFD_NOT_SUPPORTED'
  | 'SYSTEM';

export class AddonError extends Error {
  override readonly name = 'AddonError';

  /** @param errno name of the system's own error, null when the add-on found the fault itself */
  constructor(
    readonly code: AddonErrorCode,
    message: string,
    readonly errno: string | null = null,
  ) {
    super(message);
  }
}

/** What one errno means for one operation, and what to do about it. */
export type Meaning = readonly [code: AddonErrorCode, sentence: string];
export type Meanings = Readonly<Record<string, Meaning>>;

interface Thrown {
  readonly code: string;
  readonly operation: string | null;
  readonly message: string;
}

function thrown(error: unknown): Thrown | null {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null;
  const operation = 'operation' in error && typeof error.operation === 'string' ? error.operation : null;
  return { code: error.code, operation, message: error.message };
}

/**
 * Turns what the native side threw into an AddonError.
 * @param meanings by `operation:ERRNO`, `ERRNO`, or a code of the native side; looked up in that order
 */
export function explain(error: unknown, about: string, meanings: Meanings): unknown {
  const native = thrown(error);
  if (native === null) return error;
  const meaning = meanings[`${native.operation ?? ''}:${native.code}`] ?? meanings[native.code];
  const errno = native.operation === null ? null : native.code;
  if (meaning !== undefined)
    return new AddonError(meaning[0], `${about}: ${meaning[1]} (${native.message})`, errno);
  return new AddonError('SYSTEM', `${about}: ${native.message}`, errno);
}

/** Runs a native call; whatever it throws comes out as an AddonError. */
export function explained<T>(about: string, meanings: Meanings, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw explain(error, about, meanings);
  }
}
