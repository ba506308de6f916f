// SPDX-License-Identifier: Apache-2.0
/** A small HTTP server for the few things a sidecar is asked: a table of routes, nothing more. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { ListenOptions } from 'node:net';

export interface Answer {
  readonly status: number;
  readonly type: 'application/json' | 'text/plain';
  readonly body: string;
}

/** Keys look like `GET /status`. */
export type Routes = Readonly<Record<string, () => Answer | Promise<Answer>>>;

export const json = (value: unknown, status = 200): Answer => ({
  status,
  type: 'application/json',
  body: JSON.stringify(value) + '\n',
});

export const text = (body: string, status = 200): Answer => ({ status, type: 'text/plain', body });

/** Who has not asked by then is shut out. None of the routes reads a body; one that is sent all the same is cut off. */
const HEADER_TIMEOUT_MS = 2_000;
/** How often that is looked at; Node's own 30 s are longer than a probe of health waits. */
const CHECK_MS = 500;
export const CONNECTIONS_MAX = 32;

/** Listens. Rejects when it cannot (address in use, socket path too long). */
export async function serveHttp(listen: ListenOptions, routes: Routes): Promise<Server> {
  const server = createServer({ connectionsCheckingInterval: CHECK_MS }, (request, response) => {
    answer(routes, request).then(
      (made) => {
        write(response, made);
      },
      (error: unknown) => {
        write(response, text(`${String(error)}\n`, 500));
      },
    );
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.headersTimeout = HEADER_TIMEOUT_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(listen, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return server;
}

async function answer(routes: Routes, request: IncomingMessage): Promise<Answer> {
  const path = request.url ?? '/';
  request.resume();
  const route = routes[`${request.method ?? ''} ${path}`];
  if (route !== undefined) return route();
  return text(`no such thing here; there is: ${Object.keys(routes).join(', ')}\n`, 404);
}

function write(response: ServerResponse, made: Answer): void {
  response.writeHead(made.status, { 'content-type': made.type, connection: 'close' });
  response.end(made.body);
}
