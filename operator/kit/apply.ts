// SPDX-License-Identifier: Apache-2.0
/** Reads and writes of single objects. Each write can be bound to what the caller has seen. Throws ApiError only. */
import type { Api, ApiRequest } from './api.js';
import { ApiError, isApiError } from './errors.js';
import {
  apiVersionOf,
  listPath,
  objectPath,
  type KubeObject,
  type Ref,
  type Resource,
  type Stored,
} from './object.js';

/** What must still be so when the server carries a write out; otherwise it throws Conflict. */
export interface Precondition {
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

export interface ApplyOptions extends Precondition {
  /** Take fields over that another manager owns (the default); without it such a field is a Conflict. */
  readonly force?: boolean;
}

export interface DeleteOptions extends Precondition {
  /** Seconds that a pod gets to end by itself; 0 removes it from the API at once. */
  readonly gracePeriodS?: number;
  readonly propagation?: 'Background' | 'Foreground' | 'Orphan';
}

export interface PatchOptions extends Precondition {
  readonly subresource?: string;
}

const APPLY = 'application/apply-patch+yaml'; // YAML, of which JSON is a part
const MERGE = 'application/merge-patch+json';

export class ObjectClient {
  readonly #manager: Readonly<Record<string, string>>;

  /** @param options.fieldManager who owns the fields that are applied: the same name for ever */
  constructor(
    private readonly api: Api,
    options: { readonly fieldManager: string },
  ) {
    this.#manager = { fieldManager: options.fieldManager };
  }

  async get<T extends KubeObject>(resource: Resource, ref: Ref): Promise<Stored<T>> {
    return this.#stored<T>(resource, { method: 'GET', path: objectPath(resource, ref) });
  }

  /** null when it is not there. */
  async find<T extends KubeObject>(resource: Resource, ref: Ref): Promise<Stored<T> | null> {
    return this.get<T>(resource, ref).catch(unless('NotFound', null));
  }

  /**
   * Server-side apply: creates the object or makes the fields given so; fields that we applied before and that are
   * not given any more go away. With a precondition it never creates.
   */
  async apply<T extends KubeObject>(
    resource: Resource,
    object: T,
    options: ApplyOptions = {},
  ): Promise<Stored<T>> {
    return this.#apply(resource, object, options);
  }

  /** The same for the status; only `metadata` and `status` of the object count. */
  async applyStatus<T extends KubeObject>(
    resource: Resource,
    object: T,
    options: ApplyOptions = {},
  ): Promise<Stored<T>> {
    return this.#apply(resource, object, options, 'status');
  }

  /** An object of that name that was there before is returned as it is: see whether it is ours. */
  async createIfAbsent<T extends KubeObject>(
    resource: Resource,
    object: T,
  ): Promise<{ readonly object: Stored<T>; readonly created: boolean }> {
    const { name, namespace } = object.metadata;
    objectPath(resource, { name, namespace }); // refuses a bad address
    const request: ApiRequest = {
      method: 'POST',
      path: listPath(resource, namespace),
      query: this.#manager,
      body: typed(resource, object),
    };
    const created = await this.#stored<T>(resource, request).catch(unless('AlreadyExists', null));
    if (created !== null) return { object: created, created: true };
    return { object: await this.get<T>(resource, { name, namespace }), created: false };
  }

  /** What creating it would come to, without doing it. @throws ApiError that says what stands in the way */
  async tryCreate(resource: Resource, object: KubeObject, signal: AbortSignal): Promise<void> {
    const { name, namespace } = object.metadata;
    objectPath(resource, { name, namespace }); // refuses a bad address
    await this.api.call({
      method: 'POST',
      path: listPath(resource, namespace),
      query: { ...this.#manager, dryRun: 'All' },
      body: typed(resource, object),
      signal,
    });
  }

  /** Writes the whole object (PUT). Its resourceVersion must be given: it is the lock. */
  async replace<T extends KubeObject>(
    resource: Resource,
    object: Stored<T>,
    options: { readonly subresource?: string } = {},
  ): Promise<Stored<T>> {
    return this.#stored<T>(resource, {
      method: 'PUT',
      path: objectPath(resource, object.metadata, options.subresource),
      query: this.#manager,
      body: typed(resource, object),
    });
  }

  /** `absent`: it was not there. An object of this name with another uid is not deleted: Conflict. */
  async delete(resource: Resource, ref: Ref, options: DeleteOptions = {}): Promise<'deleted' | 'absent'> {
    const { uid, resourceVersion, gracePeriodS, propagation } = options;
    const request: ApiRequest = {
      method: 'DELETE',
      path: objectPath(resource, ref),
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        preconditions: defined({ uid, resourceVersion }),
        ...defined({ gracePeriodSeconds: gracePeriodS, propagationPolicy: propagation }),
      },
    };
    return this.api.call(request).then(() => 'deleted' as const, unless('NotFound', 'absent' as const));
  }

  /** JSON merge patch (RFC 7386): null takes a field away, a list is replaced as a whole. Never creates. */
  async mergePatch<T extends KubeObject>(
    resource: Resource,
    ref: Ref,
    patch: Readonly<Record<string, unknown>>,
    { uid, resourceVersion, subresource }: PatchOptions = {},
  ): Promise<Stored<T>> {
    // Identity and version within the patch are what the server compares them with.
    const metadata = { ...(patch['metadata'] as object | undefined), ...defined({ uid, resourceVersion }) };
    return this.#stored<T>(resource, {
      method: 'PATCH',
      path: objectPath(resource, ref, subresource),
      query: this.#manager,
      contentType: MERGE,
      body: { ...patch, metadata },
    });
  }

  /** A label of null is taken away; others stay. */
  async patchLabels<T extends KubeObject>(
    resource: Resource,
    ref: Ref,
    labels: Readonly<Record<string, string | null>>,
    precondition: Precondition = {},
  ): Promise<Stored<T>> {
    return this.mergePatch<T>(resource, ref, { metadata: { labels } }, precondition);
  }

  async #apply<T extends KubeObject>(
    resource: Resource,
    object: T,
    { force = true, uid, resourceVersion }: ApplyOptions,
    subresource?: string,
  ): Promise<Stored<T>> {
    // What the server set is not ours to apply. A version comes from the options alone, so that none gets in by
    // accident with an object that was read.
    const metadata = { ...withoutServers(object.metadata), ...defined({ uid, resourceVersion }) };
    return this.#stored<T>(resource, {
      method: 'PATCH',
      path: objectPath(resource, object.metadata, subresource),
      query: { ...this.#manager, force: String(force) },
      contentType: APPLY,
      body: { ...typed(resource, object), metadata },
    });
  }

  async #stored<T extends KubeObject>(resource: Resource, request: ApiRequest): Promise<Stored<T>> {
    const answer = await this.api.call(request);
    if (isStored<T>(answer)) return answer;
    throw new ApiError('Malformed', `${request.method} ${request.path}: the answer is no ${resource.kind}`);
  }
}

/** Has what the API server gives to each object. */
export function isStored<T extends KubeObject>(value: unknown): value is Stored<T> {
  if (typeof value !== 'object' || value === null || !('metadata' in value)) return false;
  const metadata = value.metadata as Partial<Record<string, unknown>> | null;
  return (
    typeof metadata?.['name'] === 'string' &&
    typeof metadata['uid'] === 'string' &&
    typeof metadata['resourceVersion'] === 'string'
  );
}

function typed<T extends KubeObject>(resource: Resource, object: T): T {
  return { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
}

const SERVERS_METADATA = ['uid', 'resourceVersion', 'generation', 'creationTimestamp', 'managedFields'];

function withoutServers(metadata: object): object {
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => !SERVERS_METADATA.includes(name)));
}

function defined(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** For `catch`: an error with this code is an answer; any other is thrown on. */
function unless<Answer>(code: ApiError['code'], answer: Answer): (error: unknown) => Answer {
  return (error) => {
    if (isApiError(error, code)) return answer;
    throw error;
  };
}
