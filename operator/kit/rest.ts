// SPDX-License-Identifier: Apache-2.0
/**
 * The API server over HTTPS. Addresses and credentials are the Kubernetes client's (KubeConfig); the requests are not:
 * its Watch gives no pieces of the body (so a stream that is cut or silent can't be told from a quiet one), swallows
 * what its callback throws, and does not show headers such as Retry-After.
 */
import http from 'node:http';
import https from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import type { Api, ApiRequest } from './api.js';
import { ELECTION_LIMITS } from './election-limits.js';
import { ApiError, isApiError, refusal } from './errors.js';

export interface RestOptions {
  /**
   * From the call to the last byte of its answer; for a stream, to the first. No longer than `writeTimeoutMs` of an
   * election where only a leader may write; the default is that.
   */
  readonly callTimeoutMs?: number;
}

const MS_PER_S = 1_000;
const TCP_KEEPALIVE_MS = 15_000;
/** The longest list page or object that we take: 500 objects of etcd's largest size do not come in one page. */
const ANSWER_CHARACTERS_MAX = 64 * 1024 * 1024;
const REFUSAL_CHARACTERS_MAX = 64 * 1024;

export class RestApi implements Api {
  readonly #agents = {
    'http:': new http.Agent({ keepAlive: true, keepAliveMsecs: TCP_KEEPALIVE_MS }),
    'https:': new https.Agent({ keepAlive: true, keepAliveMsecs: TCP_KEEPALIVE_MS }),
  };
  readonly #callTimeoutMs: number;

  constructor(
    private readonly kubeConfig: KubeConfig,
    options: RestOptions = {},
  ) {
    this.#callTimeoutMs = options.callTimeoutMs ?? ELECTION_LIMITS.writeTimeoutMs;
  }

  async call(request: ApiRequest): Promise<unknown> {
    const abort = new Abort(request.signal, this.#callTimeoutMs);
    // The server gives up as well then: a write that we no longer wait for is not carried out much later.
    const query = { timeout: `${Math.ceil(this.#callTimeoutMs / MS_PER_S)}s`, ...request.query };
    try {
      const answer = await this.#open({ ...request, query }, abort.signal);
      const text = await textOf(answer, ANSWER_CHARACTERS_MAX);
      return parsed(text, request);
    } catch (error) {
      throw this.#explained(request, error, abort);
    } finally {
      abort.release();
    }
  }

  async stream(request: ApiRequest): Promise<AsyncIterable<string>> {
    const abort = new Abort(request.signal, this.#callTimeoutMs);
    try {
      const answer = await this.#open(request, abort.signal);
      abort.noTimeout();
      return this.#pieces(request, answer, abort);
    } catch (error) {
      abort.release();
      throw this.#explained(request, error, abort);
    }
  }

  /** Ends idle connections; those in use end with their calls. */
  close(): void {
    for (const agent of Object.values(this.#agents))
      for (const idle of Object.values(agent.freeSockets)) for (const socket of idle ?? []) socket.destroy();
  }

  async *#pieces(request: ApiRequest, answer: http.IncomingMessage, abort: Abort): AsyncGenerator<string> {
    try {
      for await (const piece of answer) yield piece as string;
    } catch (error) {
      throw this.#explained(request, error, abort);
    } finally {
      abort.release();
    }
  }

  /** The head is here, and says yes. */
  async #open(request: ApiRequest, signal: AbortSignal): Promise<http.IncomingMessage> {
    const url = this.#url(request);
    const body = request.body === undefined ? null : JSON.stringify(request.body);
    const options: https.RequestOptions = {
      method: request.method,
      signal,
      headers: headersOf(request, body),
    };
    await this.kubeConfig.applyToHTTPSOptions(options);
    // It makes an agent, thus a connection and a TLS handshake, for each call. Ours keeps connections, apart for
    // each set of credentials; only a proxy needs the agent that knows it.
    const { protocol } = url;
    if (protocol !== 'http:' && protocol !== 'https:')
      throw new ApiError('Invalid', `server ${url.origin} of the kubeconfig is neither http nor https`);
    if (this.kubeConfig.getCurrentCluster()?.proxyUrl === undefined) options.agent = this.#agents[protocol];
    const answer = await sent(protocol === 'http:' ? http : https, url, options, body);
    answer.setEncoding('utf8');
    const status = answer.statusCode ?? 0;
    if (status >= 200 && status < 300) return answer;
    const words = await textOf(answer, REFUSAL_CHARACTERS_MAX);
    throw refusal(nameOf(request), status, words, answer.headers['retry-after']);
  }

  #url({ path, query = {} }: ApiRequest): URL {
    const server = this.kubeConfig.getCurrentCluster()?.server;
    if (server === undefined) throw new ApiError('Invalid', 'the kubeconfig has no current cluster');
    const url = new URL(server.replace(/\/+$/, '') + path);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url;
  }

  #explained(request: ApiRequest, error: unknown, abort: Abort): ApiError {
    if (isApiError(error)) return error;
    // What cut this connection may have cut the idle ones too: the next call must not find out one after another.
    this.close();
    const { code = '', message } = error as NodeJS.ErrnoException;
    const words = abort.timedOut ? `no answer within ${this.#callTimeoutMs} ms` : `${code} ${message}`.trim();
    return new ApiError('Unreachable', `${nameOf(request)}: ${words}`, { cause: error });
  }
}

/** Ends a request when its caller no longer wants it, or when its time is up. */
class Abort {
  readonly #controller = new AbortController();
  readonly #onAbort = (): void => this.#controller.abort();
  readonly #timer: NodeJS.Timeout;
  timedOut = false;

  constructor(
    private readonly outer: AbortSignal | undefined,
    timeoutMs: number,
  ) {
    this.#timer = setTimeout(() => {
      this.timedOut = true;
      this.#controller.abort();
    }, timeoutMs);
    outer?.addEventListener('abort', this.#onAbort);
    if (outer?.aborted === true) this.#onAbort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  noTimeout(): void {
    clearTimeout(this.#timer);
  }

  release(): void {
    this.noTimeout();
    this.outer?.removeEventListener('abort', this.#onAbort);
  }
}

function headersOf(request: ApiRequest, body: string | null): http.OutgoingHttpHeaders {
  const accept = { accept: 'application/json' };
  if (body === null) return accept;
  const contentType = request.contentType ?? 'application/json';
  return { ...accept, 'content-type': contentType, 'content-length': Buffer.byteLength(body) };
}

function sent(
  { request }: typeof http | typeof https,
  url: URL,
  options: https.RequestOptions,
  body: string | null,
): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asked = request(url, options, resolve);
    asked.on('error', reject);
    asked.end(body ?? undefined);
  });
}

async function textOf(answer: http.IncomingMessage, charactersMax: number): Promise<string> {
  let text = '';
  for await (const piece of answer) {
    text += piece as string;
    if (text.length > charactersMax)
      throw new ApiError('Malformed', `an answer of more than ${charactersMax} characters`);
  }
  return text;
}

function parsed(text: string, request: ApiRequest): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApiError('Malformed', `${nameOf(request)}: the answer is not JSON`, { cause: error });
  }
}

function nameOf({ method, path }: ApiRequest): string {
  return `${method} ${path}`;
}
