// SPDX-License-Identifier: Apache-2.0
/** What a request asks of the stand-in of an API server, and what it gets. */
import type { FakeRequest } from './fake-faults.js';
import { isJson, type Json } from './fake-fields.js';
import { fieldSelector, labelSelector } from './fake-selector.js';
import { FakeRefusal, type Change } from './fake-history.js';
import type { Address, FakeObject, FakeStore } from './fake-store.js';
import type { WatchScope } from './fake-watch.js';

export interface FakeAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** null, or the sentence of a refusal. */
export type Admission = (
  operation: 'CREATE' | 'UPDATE' | 'DELETE',
  object: Json,
  request: FakeRequest,
) => string | null;

interface Place {
  readonly table: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

const PATH =
  /^\/(api\/[^/]+|apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/;
const APPLY = 'application/apply-patch+yaml';
const MERGE = 'application/merge-patch+json';

export class Requests {
  readonly #admissions = new Set<Admission>();
  /** What is left of lists that were begun, as they were then. */
  readonly #pages = new Map<string, { readonly version: string; readonly items: readonly FakeObject[] }>();
  #tokens = 0;

  constructor(private readonly store: FakeStore) {}

  admit(admission: Admission): () => void {
    this.#admissions.add(admission);
    return () => this.#admissions.delete(admission);
  }

  forgetPages(): void {
    this.#pages.clear();
  }

  /** @throws FakeRefusal */
  answer(request: FakeRequest): FakeAnswer {
    const place = placeOf(request.path);
    if (place.name === undefined)
      return request.method === 'POST' ? this.#create(place, request) : this.#list(place, request);
    const address: Address = { ...place, name: place.name };
    switch (request.method) {
      case 'GET':
        return { status: 200, body: this.store.get(address) };
      case 'DELETE':
        return { status: 200, body: this.#delete(address, request) };
      case 'PUT':
      case 'PATCH':
        return { status: 200, body: this.#write(address, place.subresource, request) };
      default:
        throw new FakeRefusal(405, 'MethodNotAllowed', `${request.method} is not supported here`);
    }
  }

  /** @throws FakeRefusal: a version that is too old, for instance */
  watch(request: FakeRequest): { readonly scope: WatchScope; readonly missed: readonly Change[] } {
    const { table, namespace } = placeOf(request.path);
    const { resourceVersion, allowWatchBookmarks } = request.query;
    const scope = {
      table,
      namespace,
      bookmarks: allowWatchBookmarks === 'true',
      selects: selectorOf(request),
    };
    return { scope, missed: resourceVersion === undefined ? [] : this.store.history.since(resourceVersion) };
  }

  #list({ table, namespace }: Place, request: FakeRequest): FakeAnswer {
    const { limit = '0', continue: token } = request.query;
    const { version, items } =
      token === undefined ? this.#snapshot(table, namespace, request) : this.#page(token);
    const count = Number(limit) > 0 ? Number(limit) : items.length;
    const rest = items.slice(count);
    const metadata: Json = { resourceVersion: version };
    if (rest.length > 0) {
      const next = `token-${++this.#tokens}`;
      this.#pages.set(next, { version, items: rest });
      Object.assign(metadata, { continue: next, remainingItemCount: rest.length });
    }
    const kind = items[0]?.['kind'];
    const apiVersion = table.split('/').slice(1, -1).join('/');
    const isCore = table.startsWith('api/');
    const page = items.slice(0, count).map((item) => (isCore ? withoutKind(item) : item));
    return {
      status: 200,
      body: { kind: typeof kind === 'string' ? `${kind}List` : 'List', apiVersion, metadata, items: page },
    };
  }

  #snapshot(
    table: string,
    namespace: string | undefined,
    request: FakeRequest,
  ): { version: string; items: readonly FakeObject[] } {
    const selects = selectorOf(request);
    return { version: this.store.history.version, items: this.store.list(table, namespace).filter(selects) };
  }

  #page(token: string): { version: string; items: readonly FakeObject[] } {
    const page = this.#pages.get(token);
    if (page === undefined)
      throw new FakeRefusal(410, 'Expired', 'The provided continue parameter is too old');
    return page;
  }

  #create({ table, namespace }: Place, request: FakeRequest): FakeAnswer {
    const body = bodyOf(request);
    const { name } = body['metadata'] as { name?: string };
    if (name === undefined) throw new FakeRefusal(422, 'Invalid', 'metadata.name: Required value');
    this.#ask('CREATE', body, request);
    return { status: 201, body: this.store.create({ table, namespace, name }, body, managerOf(request)) };
  }

  #write(address: Address, subresource: string | undefined, request: FakeRequest): FakeObject {
    const body = bodyOf(request);
    const write = { manager: managerOf(request), subresource };
    const exists = this.store.find(address) !== undefined;
    this.#ask(exists ? 'UPDATE' : 'CREATE', body, request);
    if (request.method === 'PUT') return this.store.replace(address, body, write);
    if (request.contentType === APPLY)
      return this.store.apply(address, body, { ...write, force: request.query['force'] === 'true' });
    if (request.contentType === MERGE) return this.store.mergePatch(address, body, write);
    throw new FakeRefusal(415, 'UnsupportedMediaType', `${request.contentType} is not known here`);
  }

  #delete(address: Address, request: FakeRequest): FakeObject {
    const { preconditions, gracePeriodSeconds } = isJson(request.body) ? request.body : {};
    this.#ask('DELETE', this.store.get(address), request);
    const grace = typeof gracePeriodSeconds === 'number' ? gracePeriodSeconds : null;
    return this.store.delete(address, isJson(preconditions) ? preconditions : {}, grace);
  }

  #ask(operation: Parameters<Admission>[0], object: Json, request: FakeRequest): void {
    for (const admission of this.#admissions) {
      const refusal = admission(operation, object, request);
      if (refusal !== null)
        throw new FakeRefusal(
          403,
          'Forbidden',
          `admission webhook "stand-in" denied the request: ${refusal}`,
        );
    }
  }
}

function placeOf(path: string): Place {
  const match = PATH.exec(path);
  if (match === null) throw new FakeRefusal(404, 'NotFound', `the server could not find ${path}`);
  const [, root = '', namespace, plural = '', name, subresource] = match.map((part: string | undefined) =>
    part === undefined ? undefined : decodeURIComponent(part),
  );
  return { table: `${root}/${plural}`, namespace, name, subresource };
}

function selectorOf({ query }: FakeRequest): (object: Json) => boolean {
  const labels = labelSelector(query['labelSelector'] ?? '');
  const fields = fieldSelector(query['fieldSelector'] ?? '');
  return (object) => labels(object) && fields(object);
}

function bodyOf({ body }: FakeRequest): Json {
  if (isJson(body) && isJson(body['metadata'])) return body;
  throw new FakeRefusal(400, 'BadRequest', 'the body is not an object with metadata');
}

function managerOf({ query }: FakeRequest): string {
  return query['fieldManager'] ?? 'unknown';
}

/** As for the built-in types: the items of a list do not say what they are. */
function withoutKind(object: FakeObject): Json {
  return Object.fromEntries(
    Object.entries(object).filter(([name]) => name !== 'kind' && name !== 'apiVersion'),
  );
}
