// SPDX-License-Identifier: Apache-2.0
// The server's side of unix-http.ts.
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { z } from 'zod';
import { LocalError, messageOf } from './errors.js';

const BODY_BYTES_MAX = 64 * 1024;

/** Gets the request's JSON (undefined when there is none) and gives the answer's. */
export type Handler = (body: unknown) => Promise<unknown>;

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = '';
  request.setEncoding('utf8');
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > BODY_BYTES_MAX) throw new LocalError('USAGE', 'the request is too long');
  }
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new LocalError('USAGE', 'the request is not JSON', undefined, { cause: error });
  }
}

function statusOf(error: unknown): number {
  if (error instanceof z.ZodError) return 400;
  if (!(error instanceof LocalError)) return 500;
  return error.code === 'USAGE' ? 400 : 409;
}

async function answer(
  handlers: Readonly<Record<string, Handler>>,
  request: IncomingMessage,
): Promise<[number, unknown]> {
  const handler = handlers[`${request.method ?? ''} ${request.url ?? ''}`];
  if (handler === undefined)
    return [404, { error: `no such call: ${request.method ?? ''} ${request.url ?? ''}` }];
  try {
    return [200, await handler(await bodyOf(request))];
  } catch (error) {
    const words = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error);
    return [statusOf(error), { error: words }];
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

/** Serves `handlers`, keyed by 'METHOD /path'. Failures become `{"error": words}` with a status of 400 or above. */
export function routes(handlers: Readonly<Record<string, Handler>>): RequestListener {
  return (request, response) => {
    answer(handlers, request).then(
      ([status, body]) => send(response, status, body),
      (error: unknown) => response.destroy(error instanceof Error ? error : undefined),
    );
  };
}

/** Serves `handlers` on a unix socket, which takes the place of whatever is there. */
export async function serveUnix(socket: string, handlers: Readonly<Record<string, Handler>>): Promise<void> {
  await rm(socket, { force: true });
  const server = createServer(routes(handlers));
  server.listen(socket);
  await once(server, 'listening');
}
