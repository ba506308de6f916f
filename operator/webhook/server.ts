// SPDX-License-Identifier: Apache-2.0
/** The admission webhooks over HTTPS: one AdmissionReview in, one out. A failure of ours is a refusal, never an admission. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { z } from 'zod';
import { base64 } from '../api/base64.js';
import type { PatchStep } from './inject.js';

export interface AdmissionRequest {
  readonly uid: string;
  readonly operation: string;
  readonly resource: { readonly group: string; readonly resource: string };
  readonly object: unknown;
  readonly oldObject: unknown;
}

export type Verdict =
  | { readonly allowed: true; readonly patch?: readonly PatchStep[] }
  | { readonly allowed: false; readonly message: string };

/** By path: `/validate`, `/inject`. May throw: the review is refused in the error's words. */
export type Handler = (request: AdmissionRequest) => Verdict | Promise<Verdict>;
export type Handlers = Readonly<Record<string, Handler>>;

export interface ServerTls {
  readonly cert: string;
  readonly key: string;
}

export interface WebhookOptions {
  /** 0: any free one. */
  readonly port: number;
  readonly host?: string;
  readonly tls: ServerTls;
  readonly handlers: Handlers;
  /** From the connection until the handshake is done, and from there until a request is read; 10 s if not given. */
  readonly requestMsMax?: number;
}

/** The largest object of etcd, and an old one beside it. */
const BODY_BYTES_MAX = 4 * 1024 * 1024;
const REQUEST_MS_MAX = 10_000;
/** Node looks at intervals which requests take too long: so often within that time. */
const LOOKS = 10;
const CONNECTIONS_MAX = 256;

const reviewSchema = z.looseObject({
  apiVersion: z.literal('admission.k8s.io/v1'),
  kind: z.literal('AdmissionReview'),
  request: z.looseObject({
    uid: z.string().min(1),
    operation: z.string(),
    resource: z.looseObject({ group: z.string(), resource: z.string() }),
    object: z.unknown(),
    oldObject: z.unknown(),
  }),
});

export class WebhookServer {
  /** Also those that shake hands still, of which an HTTP server knows nothing. */
  readonly #sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** @throws the system's error when the port cannot be had */
  static async start(options: WebhookOptions): Promise<WebhookServer> {
    const { tls, handlers, requestMsMax = REQUEST_MS_MAX } = options;
    const bounds = {
      handshakeTimeout: requestMsMax,
      requestTimeout: requestMsMax,
      connectionsCheckingInterval: requestMsMax / LOOKS,
    };
    const server = createServer({ ...tls, ...bounds, minVersion: 'TLSv1.2' }, (request, response) => {
      serve(request, response, handlers).catch((error: unknown) => {
        response.destroy(error as Error); // the answer itself could not be written
      });
    });
    server.maxConnections = CONNECTIONS_MAX;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(
        { port: options.port, ...(options.host === undefined ? {} : { host: options.host }) },
        resolve,
      );
    });
    return new WebhookServer(server, (server.address() as AddressInfo).port);
  }

  /** New connections see this certificate; existing ones live on. */
  useTls(tls: ServerTls): void {
    this.server.setSecureContext({ ...tls, minVersion: 'TLSv1.2' });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
  }
}

async function serve(request: IncomingMessage, response: ServerResponse, handlers: Handlers): Promise<void> {
  const path = (request.url ?? '/').split('?')[0] ?? '/';
  const handler = handlers[path];
  if (path === '/healthz' && request.method === 'GET') {
    request.resume();
    end(response, 200, 'text/plain', 'ok\n');
    return;
  }
  if (handler === undefined || request.method !== 'POST') {
    request.resume();
    end(response, 404, 'text/plain', `no such thing here; there is: ${Object.keys(handlers).join(', ')}\n`);
    return;
  }
  let body: string;
  try {
    body = await bodyOf(request);
  } catch (error) {
    response.setHeader('connection', 'close');
    end(response, 413, 'text/plain', `${(error as Error).message}\n`);
    return;
  }
  const review = parse(body);
  if (review === null) {
    end(response, 400, 'text/plain', 'an AdmissionReview of admission.k8s.io/v1 is what is taken here\n');
    return;
  }
  const verdict = await judge(review, handler);
  end(response, 200, 'application/json', JSON.stringify(answer(review.uid, verdict)));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > BODY_BYTES_MAX) throw new Error(`more than ${BODY_BYTES_MAX} bytes: no object is so large`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(body: string): AdmissionRequest | null {
  try {
    const parsed = reviewSchema.safeParse(JSON.parse(body));
    return parsed.success ? parsed.data.request : null;
  } catch {
    return null; // not JSON
  }
}

async function judge(request: AdmissionRequest, handler: Handler): Promise<Verdict> {
  try {
    return await handler(request);
  } catch (error) {
    return { allowed: false, message: (error as Error).message };
  }
}

function answer(uid: string, verdict: Verdict): object {
  const said = verdict.allowed
    ? verdict.patch === undefined || verdict.patch.length === 0
      ? {}
      : { patchType: 'JSONPatch', patch: base64(JSON.stringify(verdict.patch)) }
    : { status: { code: 403, reason: 'Forbidden', message: verdict.message } };
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid, allowed: verdict.allowed, ...said },
  };
}

function end(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type });
  response.end(body);
}
