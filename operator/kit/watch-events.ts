// SPDX-License-Identifier: Apache-2.0
/** The stream of a watch as events. */
import { ApiError, refusal } from './errors.js';

const TYPES = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK'] as const;

export interface WatchEvent {
  readonly type: (typeof TYPES)[number];
  readonly object: unknown;
}

/** etcd takes objects of 1.5 MiB; in JSON they are longer. */
const LINE_CHARACTERS_MAX = 16 * 1024 * 1024;

/**
 * One event a line. What comes after the last end of a line was cut off and does not count: who goes on from the
 * version of the last event gets it again.
 * @throws ApiError: what the server says of an end (ERROR), or Malformed
 */
export async function* watchEvents(pieces: AsyncIterable<string>, path: string): AsyncGenerator<WatchEvent> {
  let rest = '';
  for await (const piece of pieces) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield eventOf(line, path);
    if (rest.length > LINE_CHARACTERS_MAX)
      throw new ApiError(
        'Malformed',
        `watch of ${path}: an event of more than ${LINE_CHARACTERS_MAX} characters`,
      );
  }
}

function eventOf(line: string, path: string): WatchEvent {
  const { type, object } = parsed(line, path);
  if (type === 'ERROR') {
    const { code } = (object ?? {}) as { readonly code?: unknown };
    throw refusal(`watch of ${path}`, typeof code === 'number' ? code : 500, JSON.stringify(object));
  }
  const known = TYPES.find((name) => name === type);
  if (known !== undefined) return { type: known, object };
  throw new ApiError('Malformed', `watch of ${path}: '${String(type).slice(0, 40)}' is no type of events`);
}

function parsed(line: string, path: string): { readonly type?: unknown; readonly object?: unknown } {
  try {
    return (JSON.parse(line) ?? {}) as { type?: unknown; object?: unknown };
  } catch (error) {
    throw new ApiError('Malformed', `watch of ${path}: an event is not JSON`, { cause: error });
  }
}
