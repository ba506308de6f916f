// SPDX-License-Identifier: Apache-2.0
/**
 * A stand-in for a Kubernetes API server, for tests: HTTP on loopback, any resource by its path, everything in memory.
 * It knows list (paged), watch (bookmarks, history, 410), create, replace, merge patch, a simple server-side apply, and
 * delete with preconditions; and it can be made to fail in the ways in which real ones do. It is NOT an API server:
 * no schemas, defaults, authorization, strategic merge patch or OpenAPI. What must be true of the real one is tested
 * on the real one.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { apiVersionOf, listPath, type KubeObject, type Ref, type Resource, type Stored } from '../object.js';
import { Faults, Scissors, type Fault, type FakeRequest, type Plan } from './fake-faults.js';
import { isJson, type Json } from './fake-fields.js';
import { Requests, type Admission } from './fake-requests.js';
import { FakeRefusal } from './fake-history.js';
import { FakeStore, type Address } from './fake-store.js';
import { FakeWatch } from './fake-watch.js';

export type { Fault, FakeRequest, Plan } from './fake-faults.js';
export type { Admission } from './fake-requests.js';

export class FakeApi {
  readonly store = new FakeStore();
  /** All that was asked, oldest first. */
  readonly requests: FakeRequest[] = [];
  /** The connection by which the last request came. */
  lastClient = '';

  readonly #handler = new Requests(this.store);
  readonly #faults = new Faults();
  readonly #watches = new Set<FakeWatch>();
  #server: Server | null = null;
  #port = 0;
  #holding = false;

  private constructor() {
    this.store.history.onChange((change) => {
      for (const watch of this.#watches) watch.tell(change);
    });
  }

  static async start(): Promise<FakeApi> {
    const api = new FakeApi();
    await api.#listen();
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  kubeConfig(): KubeConfig {
    const config = new KubeConfig();
    config.loadFromClusterAndUser(
      { name: 'stand-in', server: this.url, skipTLSVerify: true },
      { name: 'test' },
    );
    return config;
  }

  // -- what other controllers and people do --

  /** Creates or replaces, status included. Versions and identities in `object` do not count. */
  put<T extends KubeObject>(resource: Resource, object: T): Stored<T> {
    const address = addressOf(resource, object.metadata);
    const write = { manager: 'somebody-else', subresource: undefined };
    const metadata = { ...object.metadata, uid: undefined, resourceVersion: undefined };
    // As if it had come over the wire: what is undefined is not there.
    const free = JSON.parse(
      JSON.stringify({ apiVersion: apiVersionOf(resource), kind: resource.kind, ...object, metadata }),
    ) as Json;
    return (this.store.find(address) === undefined
      ? this.store.create(address, free, write.manager, true)
      : this.store.replace(address, free, write, true)) as unknown as Stored<T>;
  }

  /** It is gone, whatever finalizers say. */
  remove(resource: Resource, ref: Ref): void {
    this.store.remove(addressOf(resource, ref));
  }

  find<T extends KubeObject>(resource: Resource, ref: Ref): Stored<T> | undefined {
    return this.store.find(addressOf(resource, ref)) as unknown as Stored<T> | undefined;
  }

  list<T extends KubeObject>(resource: Resource, namespace?: string): readonly Stored<T>[] {
    return this.store.list(tableOf(resource), namespace) as unknown as readonly Stored<T>[];
  }

  // -- what goes wrong --

  /** Returns what takes the plan back. */
  fail(plan: Plan): () => void {
    return this.#faults.add(plan);
  }

  /** A webhook: a sentence refuses the write (403). */
  admit(admission: Admission): () => void {
    return this.#handler.admit(admission);
  }

  /** Versions and continue tokens of before are too old from now on. */
  compact(): void {
    this.store.history.compact();
    this.#handler.forgetPages();
  }

  get watches(): readonly FakeWatch[] {
    return [...this.#watches];
  }

  /** Watches, also new ones, stay open and tell nothing: the caches behind them get stale. */
  holdWatches(): void {
    this.#holding = true;
    for (const watch of this.#watches) watch.hold();
  }

  /** Tells what was held back. */
  releaseWatches(): void {
    this.#holding = false;
    for (const watch of this.#watches) watch.release();
  }

  cutWatches(): void {
    for (const watch of this.#watches) watch.cut();
  }

  sendBookmarks(): void {
    for (const watch of this.#watches) watch.bookmark(this.store.history.version);
  }

  /** Down: nothing listens, connections end. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  /** Another process on the same port, with the same objects; its watch cache knows nothing of before. */
  async restart(): Promise<void> {
    await this.stop();
    this.compact();
    await this.#listen();
  }

  close(): Promise<void> {
    return this.stop();
  }

  async #listen(): Promise<void> {
    const server = createServer((request, answer) => {
      this.#serve(request, answer).catch((error: unknown) => {
        refuse(answer, error);
      });
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async #serve(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const request = await requestOf(incoming);
    this.requests.push(request);
    this.lastClient = `${incoming.socket.remoteAddress ?? ''}:${incoming.socket.remotePort ?? 0}`;
    const fault = this.#faults.take(request);
    if (fault === 'drop') incoming.socket.destroy();
    else if (isRefusal(fault)) refuseBy(answer, fault);
    else await this.#answer(request, answer, fault);
  }

  async #answer(request: FakeRequest, answer: ServerResponse, fault: Fault | null): Promise<void> {
    if (isJson(fault) && 'slowMs' in fault)
      await new Promise((resolve) => setTimeout(resolve, fault['slowMs']));
    const bytes = isJson(fault) && 'cutAfterBytes' in fault ? fault['cutAfterBytes'] : Infinity;
    const out = new Scissors(answer, bytes);
    if (request.isWatch) {
      this.#watch(request, answer, out);
      return;
    }
    const { status, body } = this.#handler.answer(request);
    if (fault === 'hang') return;
    const text = JSON.stringify(body);
    // The length promises more than a cut answer has: that is how a client can tell.
    answer.writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    });
    out.write(text);
    out.end();
  }

  #watch(request: FakeRequest, answer: ServerResponse, out: Scissors): void {
    const { scope, missed } = this.#handler.watch(request);
    answer.writeHead(200, { 'content-type': 'application/json' });
    answer.flushHeaders();
    const watch = new FakeWatch(scope, out, () => answer.socket?.destroy());
    if (this.#holding) watch.hold();
    for (const change of missed) watch.tell(change);
    this.#watches.add(watch);
    answer.on('close', () => this.#watches.delete(watch));
  }
}

function tableOf(resource: Resource): string {
  return listPath(resource).slice(1);
}

function addressOf(resource: Resource, { name, namespace }: Ref): Address {
  return { table: tableOf(resource), namespace, name };
}

async function requestOf(incoming: IncomingMessage): Promise<FakeRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const url = new URL(incoming.url ?? '/', 'http://stand-in');
  const query = Object.fromEntries(url.searchParams);
  return {
    method: incoming.method ?? '',
    path: url.pathname,
    query,
    contentType: incoming.headers['content-type'] ?? '',
    body: text === '' ? null : (JSON.parse(text) as unknown),
    isWatch: query['watch'] === 'true' || query['watch'] === '1',
  };
}

type RefusalFault = Extract<Fault, { status: number }>;

function isRefusal(fault: Fault | null): fault is RefusalFault {
  return typeof fault === 'object' && fault !== null && 'status' in fault;
}

function refuseBy(answer: ServerResponse, { status, reason = 'Injected', retryAfterS }: RefusalFault): void {
  if (retryAfterS !== undefined) answer.setHeader('retry-after', String(retryAfterS));
  refuse(answer, new FakeRefusal(status, reason, 'refused by the test'));
}

function refuse(answer: ServerResponse, error: unknown): void {
  const refusal =
    error instanceof FakeRefusal ? error : new FakeRefusal(500, 'InternalError', (error as Error).message);
  const { status, reason, message, fields } = refusal;
  if (answer.headersSent) return;
  answer.writeHead(status, { 'content-type': 'application/json' });
  const details = { causes: fields.map((field) => ({ field })) };
  const body = {
    kind: 'Status',
    apiVersion: 'v1',
    status: 'Failure',
    code: status,
    reason,
    message,
    details,
  };
  answer.end(JSON.stringify(body));
}
