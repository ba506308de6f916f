// SPDX-License-Identifier: Apache-2.0
/** All objects of one type, page by page, all from the same moment. */
import type { Api } from './api.js';
import { isStored } from './apply.js';
import { ApiError, isApiError } from './errors.js';
import { apiVersionOf, listPath, type KubeObject, type Resource, type Stored } from './object.js';

export interface Scope {
  readonly resource: Resource;
  /** All namespaces if not given. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface Listing<T extends KubeObject> {
  readonly items: readonly Stored<T>[];
  /** A watch goes on from here. */
  readonly resourceVersion: string;
}

interface Page {
  readonly items: readonly unknown[];
  readonly resourceVersion: string;
  readonly next: string | undefined;
}

/** With the usual page of 500, a million objects: a server that never comes to an end is broken. */
const PAGES_MAX = 2_000;

/**
 * The newest state, never one older than what was seen before: no resourceVersion is given, so the server does not
 * answer from a cache that may be behind.
 * @throws ApiError
 */
export async function listAll<T extends KubeObject>(
  api: Api,
  scope: Scope,
  pageSize: number,
  signal: AbortSignal,
): Promise<Listing<T>> {
  try {
    return await pages<T>(api, scope, pageSize, signal);
  } catch (error) {
    if (!isApiError(error, 'Gone')) throw error;
    // The moment of the first page is forgotten already: paging takes longer than the server remembers.
    return await pages<T>(api, scope, 0, signal);
  }
}

/** What selects objects, as the API's query has it. */
export function selectorsOf({ labelSelector, fieldSelector }: Scope): Record<string, string> {
  return {
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
}

/** The items of a list of a built-in type do not say what they are. @throws ApiError */
export function typedItem<T extends KubeObject>(resource: Resource, item: unknown): Stored<T> {
  if (isStored<T>(item)) return { apiVersion: apiVersionOf(resource), kind: resource.kind, ...item };
  throw new ApiError('Malformed', `${listPath(resource)}: an item is no ${resource.kind}`);
}

async function pages<T extends KubeObject>(
  api: Api,
  scope: Scope,
  pageSize: number,
  signal: AbortSignal,
): Promise<Listing<T>> {
  const { resource, namespace } = scope;
  const path = listPath(resource, namespace);
  const items: Stored<T>[] = [];
  let token: string | undefined;
  for (let count = 0; count < PAGES_MAX; count++) {
    const query: Record<string, string> = { ...selectorsOf(scope) };
    if (pageSize > 0) query['limit'] = String(pageSize);
    if (token !== undefined) query['continue'] = token;
    const page = pageOf(await api.call({ method: 'GET', path, query, signal }), path);
    for (const item of page.items) items.push(typedItem<T>(resource, item));
    if (page.next === undefined) return { items, resourceVersion: page.resourceVersion };
    token = page.next;
  }
  throw new ApiError('Malformed', `GET ${path}: no end after ${PAGES_MAX} pages`);
}

function pageOf(answer: unknown, path: string): Page {
  const { items, metadata } = (answer ?? {}) as Partial<Record<string, unknown>>;
  const { resourceVersion, continue: next } = (metadata ?? {}) as Partial<Record<string, unknown>>;
  // A list without items may come as null.
  const isList = (Array.isArray(items) || items === null) && typeof resourceVersion === 'string';
  if (!isList) throw new ApiError('Malformed', `GET ${path}: the answer is no list`);
  return {
    items: items ?? [],
    resourceVersion,
    next: typeof next === 'string' && next !== '' ? next : undefined,
  };
}
