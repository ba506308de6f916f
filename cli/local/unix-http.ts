// SPDX-License-Identifier: Apache-2.0
// Small JSON calls over HTTP on a unix socket: how agents and sidecars are talked to.
import { request } from 'node:http';
import type { z } from 'zod';
import { LocalError, messageOf, systemCode } from './errors.js';

const ANSWER_BYTES_MAX = 1 << 20;

export interface Call<T> {
  readonly socket: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  readonly timeoutMs: number;
  readonly answer: z.ZodType<T>;
}

interface RawAnswer {
  readonly status: number;
  readonly text: string;
}

function exchange(call: Call<unknown>): Promise<RawAnswer> {
  return new Promise((done, fail) => {
    const text = call.body === undefined ? '' : JSON.stringify(call.body);
    const sent = request(
      {
        socketPath: call.socket,
        method: call.method,
        path: call.path,
        agent: false,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
        signal: AbortSignal.timeout(call.timeoutMs),
      },
      (answer) => {
        let body = '';
        answer.setEncoding('utf8');
        answer.on('error', fail);
        answer.on('data', (chunk: string) => {
          body += chunk;
          if (body.length > ANSWER_BYTES_MAX) answer.destroy(new Error('the answer is too long'));
        });
        answer.on('end', () => {
          done({ status: answer.statusCode ?? 0, text: body });
        });
      },
    );
    sent.on('error', fail);
    sent.end(text);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new LocalError('BAD_ANSWER', `not JSON: ${text.slice(0, 200)}`, undefined, { cause: error });
  }
}

/** The words of a refusal: `{"error": "..."}`, or the text as it is. */
function refusal(text: string): string {
  const body = parsed(text);
  if (typeof body === 'object' && body !== null && 'error' in body && typeof body.error === 'string') {
    return body.error;
  }
  return text.slice(0, 200);
}

/**
 * Makes one call.
 * @throws LocalError NO_ANSWER (nobody listens, or not in time), REFUSED (a status of 400 or above, with its words),
 *   BAD_ANSWER (not what the schema says).
 */
export async function callUnix<T>(call: Call<T>): Promise<T> {
  let raw: RawAnswer;
  try {
    raw = await exchange(call);
  } catch (error) {
    const why = systemCode(error) ?? messageOf(error);
    throw new LocalError('NO_ANSWER', `no answer on ${call.socket}: ${why}`, undefined, { cause: error });
  }
  if (raw.status >= 400) throw new LocalError('REFUSED', refusal(raw.text));
  const result = call.answer.safeParse(parsed(raw.text));
  if (result.success) return result.data;
  throw new LocalError('BAD_ANSWER', `${call.socket}${call.path}: ${result.error.message}`);
}
