// SPDX-License-Identifier: Apache-2.0
/** Everything that can go wrong between us and the API server: what it is, and what to do about it. */

const CURES = {
  NotFound: 'it is gone, or never was; or its CustomResourceDefinition is not installed',
  AlreadyExists: 'read it, and see whether it is ours',
  Conflict: 'somebody else has changed or owns it: read it again and decide anew',
  Forbidden:
    'grant this service account the verb in its role, or do what the admission webhook or quota says',
  Unauthorized: 'the credentials are not taken: see whether the token has expired or the CA has changed',
  Invalid: 'the request can never succeed as it is: change what is asked',
  Gone: 'this version is too old for the server: list again',
  TooMany: 'the server asks for a pause: try again after it',
  Unavailable: 'the server (or a webhook that it asks) is in trouble: try again',
  Unreachable: 'no answer: see whether API server and network live. A write may have been carried out',
  Malformed: 'the answer is not what the API promises: see whether a proxy stands between',
  NotLeader: 'another process leads now; it will do what is to be done',
} as const;

export type ApiErrorCode = keyof typeof CURES;

/** What the server says of a refusal, as far as it says so: `Status` of meta/v1. */
export interface StatusBody {
  readonly kind?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly code?: number;
  readonly details?: {
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly { readonly field?: string }[];
  };
}

export interface ApiErrorDetails {
  /** Of HTTP; null when nothing was answered. */
  readonly status?: number | null;
  /** The server's own word, `Expired` for instance. */
  readonly reason?: string | null;
  readonly retryAfterMs?: number | null;
  /** The server's sentence. */
  readonly words?: string | null;
  readonly cause?: unknown;
}

export class ApiError extends Error {
  readonly status: number | null;
  readonly reason: string | null;
  /** The server asks for a pause of so long; null when it asks for none. */
  readonly retryAfterMs: number | null;
  /** What the server said, without what we add; null when it said nothing. */
  readonly words: string | null;

  constructor(
    readonly code: ApiErrorCode,
    what: string,
    { status = null, reason = null, retryAfterMs = null, words = null, cause }: ApiErrorDetails = {},
  ) {
    super(`${what} (${code}: ${CURES[code]})`, cause === undefined ? undefined : { cause });
    this.name = 'ApiError';
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
    this.words = words;
  }

  /** What to do about it. */
  get cure(): string {
    return CURES[this.code];
  }
}

export function isApiError(error: unknown, ...codes: readonly ApiErrorCode[]): error is ApiError {
  return error instanceof ApiError && (codes.length === 0 || codes.includes(error.code));
}

const MS_PER_S = 1_000;
const BY_STATUS: Readonly<Record<number, ApiErrorCode>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Gone',
  429: 'TooMany',
};

/**
 * The error for a refusal.
 * @param what was asked: `PATCH /api/v1/...`
 * @param status of HTTP, or `code` of a Status within a watch
 * @param text body of the answer; a Status if the API server wrote it, anything if something between us did
 * @param retryAfter header Retry-After, in seconds
 */
export function refusal(what: string, status: number, text: string, retryAfter?: string): ApiError {
  const body = statusBody(text);
  const words = body?.message ?? text.slice(0, WORDS_MAX).trim();
  const seconds = Number(retryAfter ?? body?.details?.retryAfterSeconds);
  return new ApiError(codeFor(status, body), `${what}: ${status} ${words}`, {
    status,
    reason: body?.reason ?? null,
    words,
    retryAfterMs: Number.isFinite(seconds) && seconds >= 0 ? seconds * MS_PER_S : null,
  });
}

const WORDS_MAX = 300;

function codeFor(status: number, body: StatusBody | null): ApiErrorCode {
  if (body?.reason === 'AlreadyExists') return 'AlreadyExists';
  // A patch bound to an identity, and another object is there: the server words it as a field that can't be changed.
  if (body?.details?.causes?.some(({ field }) => field === 'metadata.uid') === true) return 'Conflict';
  const code = BY_STATUS[status];
  if (code !== undefined) return code;
  return status >= 500 ? 'Unavailable' : 'Invalid';
}

function statusBody(text: string): StatusBody | null {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null && 'kind' in body && body.kind === 'Status'
      ? (body as StatusBody)
      : null;
  } catch {
    return null; // not a Status: the text itself is the message
  }
}
