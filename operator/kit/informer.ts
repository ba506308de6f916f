// SPDX-License-Identifier: Apache-2.0
/**
 * A cache of one type of objects that follows the API server: list, then watch, for ever. Whatever goes wrong it comes
 * back, and says so; nothing but `stop` ends it. Versions are opaque: kept, given back, compared for equality.
 */
import type { Api } from './api.js';
import { backoffMs } from './backoff.js';
import { ObjectCache, type CacheChange } from './cache.js';
import { ApiError, isApiError } from './errors.js';
import { makeInformerLimits, type InformerLimits } from './informer-limits.js';
import { listAll, selectorsOf, typedItem, type Scope } from './list.js';
import { listPath, type KubeObject, type Stored } from './object.js';
import { retryAfterMsOf } from './queue.js';
import { Subscribers, type Handlers } from './subscribers.js';
import { pause, type Random, type Time } from './time.js';
import { watchEvents, type WatchEvent } from './watch-events.js';
import { Watchdog } from './watchdog.js';

export type { Handlers } from './subscribers.js';

export interface InformerOptions extends Scope {
  readonly api: Api;
  readonly time: Time;
  readonly random: Random;
  readonly limits?: Partial<InformerLimits>;
  /** Must not throw. */
  readonly observe?: (event: InformerEvent) => void;
}

/** Why all was listed again. */
export type RelistReason = 'start' | 'gone' | 'silent' | 'failures' | (string & {});

export type InformerEvent =
  | { readonly type: 'watchOpened' }
  | { readonly type: 'watchEnded'; readonly lastedMs: number }
  | {
      readonly type: 'relisted';
      readonly reason: RelistReason;
      readonly objects: number;
      readonly tookMs: number;
    }
  | { readonly type: 'event'; readonly event: WatchEvent['type'] }
  | { readonly type: 'failed'; readonly error: unknown; readonly failures: number; readonly retryMs: number }
  | { readonly type: 'handlerFailed'; readonly error: unknown };

const MS_PER_S = 1_000;

export class Informer<T extends KubeObject> {
  readonly #limits: InformerLimits;
  readonly #cache = new ObjectCache<T>();
  readonly #subscribers: Subscribers<T>;
  readonly #stopped = new AbortController();
  #loop: Promise<void> | null = null;
  /** Where the watch goes on; null: all must be listed. */
  #version: string | null = null;
  #relistReason: RelistReason = 'start';
  #demanded: RelistReason | null = null;
  /** Ends the watch that is open. */
  #watching: AbortController | null = null;
  #failures = 0;
  #listedMs = -Infinity;
  #signMs: number;
  #synced = false;
  /** Who waits for a list, and not for one that began before this. */
  readonly #waiters = new Set<{ readonly sinceMs: number; readonly resolve: () => void }>();

  /** @throws InformerLimitsError */
  constructor(private readonly options: InformerOptions) {
    this.#limits = makeInformerLimits(options.limits);
    this.#signMs = options.time.now();
    this.#subscribers = new Subscribers((error) => this.#tell({ type: 'handlerFailed', error }));
  }

  /** All that was there at the start has been told to the handlers. */
  get synced(): boolean {
    return this.#synced;
  }

  /** @param key `namespace/name`, or `name` of what has no namespace */
  get(key: string): Stored<T> | undefined {
    return this.#cache.get(key);
  }

  byUid(uid: string): Stored<T> | undefined {
    return this.#cache.byUid(uid);
  }

  list(): readonly Stored<T>[] {
    return this.#cache.list();
  }

  /** How long ago the server last said anything: objects, bookmarks, or part of one. */
  signAgeMs(): number {
    return this.options.time.now() - this.#signMs;
  }

  /** What is there already is told as added. Returns what ends it. */
  on(handlers: Handlers<T>): () => void {
    return this.#subscribers.add(handlers, this.#cache.list());
  }

  /** Resolves when synced, or when `signal` aborts. */
  async waitSynced(signal?: AbortSignal): Promise<void> {
    if (!this.#synced) await this.#listed(-Infinity, signal);
  }

  /**
   * Lists all again, and resolves when what that changed has been told, or when `signal` aborts. Everything that
   * anybody wrote before the call is in the cache then, however far behind the watch is.
   */
  async fresh(signal?: AbortSignal): Promise<void> {
    this.relist('fresh');
    await this.#listed(this.options.time.now(), signal);
  }

  start(): void {
    this.#loop ??= this.#supervise();
  }

  /** Resolves when nothing runs any more; no handler is called after that. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#watching?.abort();
    await this.#loop;
  }

  /** Lists all again soon: somebody knows of something that the watch does not show. */
  relist(reason: RelistReason): void {
    this.#demanded ??= reason;
    this.#watching?.abort();
  }

  async #supervise(): Promise<void> {
    while (!this.#isStopped()) {
      try {
        if (this.#demanded !== null) await this.#takeDemand();
        if (this.#version === null) await this.#relist();
        else await this.#watch(this.#version);
      } catch (error) {
        await this.#failed(error);
      }
    }
  }

  async #takeDemand(): Promise<void> {
    const waitMs = this.#listedMs + this.#limits.relistGapMs - this.options.time.now();
    if (waitMs > 0) await pause(this.options.time, waitMs, this.#stopped.signal);
    // Only what is asked for while the list runs may be missing in it.
    this.#mustList(this.#demanded ?? 'demanded');
    this.#demanded = null;
  }

  async #relist(): Promise<void> {
    const { api, time } = this.options;
    const startedAtMs = time.now();
    this.#listedMs = startedAtMs;
    const { items, resourceVersion } = await listAll<T>(
      api,
      this.options,
      this.#limits.pageSize,
      this.#stopped.signal,
    );
    this.#signMs = time.now();
    this.#version = resourceVersion;
    this.#dispatch(this.#cache.replace(items));
    if (this.#isStopped()) return;
    this.#subscribers.relisted(startedAtMs);
    const tookMs = time.now() - startedAtMs;
    this.#tell({ type: 'relisted', reason: this.#relistReason, objects: items.length, tookMs });
    this.#synced = true;
    for (const { sinceMs, resolve } of this.#waiters) if (startedAtMs >= sinceMs) resolve();
  }

  #listed(sinceMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const over = (): void => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener('abort', over);
        resolve();
      };
      const waiter = { sinceMs, resolve: over };
      this.#waiters.add(waiter);
      signal?.addEventListener('abort', over);
      if (signal?.aborted === true) over();
    });
  }

  /** Ends when the server ends it, or with an error. */
  async #watch(version: string): Promise<void> {
    const { time } = this.options;
    const openedMs = time.now();
    const watching = new AbortController();
    this.#watching = watching;
    const watchdog = new Watchdog(time, this.#limits.silenceMsMax, () => watching.abort());
    try {
      await this.#read(version, watchdog, watching.signal);
    } catch (error) {
      // What we ended ourselves ends with an error too.
      if (!watching.signal.aborted) throw error;
    } finally {
      watchdog.stop();
      this.#watching = null;
      this.#tell({ type: 'watchEnded', lastedMs: time.now() - openedMs });
    }
    if (watchdog.barked) throw this.#silence();
    if (!watching.signal.aborted && time.now() - openedMs < this.#limits.steadyMs)
      throw new ApiError('Unavailable', `${this.#name}: the server ended the watch early`);
    this.#failures = 0;
  }

  async #read(version: string, watchdog: Watchdog, signal: AbortSignal): Promise<void> {
    const { api, random, resource, namespace } = this.options;
    const timeoutS = Math.ceil((this.#limits.watchTimeoutMs / MS_PER_S) * (1 + random()));
    const query = {
      ...selectorsOf(this.options),
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: version,
      timeoutSeconds: String(timeoutS),
    };
    const path = listPath(resource, namespace);
    const pieces = await api.stream({ method: 'GET', path, query, signal });
    this.#signMs = this.options.time.now();
    this.#tell({ type: 'watchOpened' });
    const signs = watchdog.watch(pieces, () => (this.#signMs = this.options.time.now()));
    for await (const event of watchEvents(signs, this.#name)) {
      if (signal.aborted) return;
      this.#take(event);
    }
  }

  #take({ type, object }: WatchEvent): void {
    this.#failures = 0;
    if (type === 'BOOKMARK') this.#version = bookmarkOf(object, this.#name);
    else {
      const item = typedItem<T>(this.options.resource, object);
      this.#version = item.metadata.resourceVersion;
      this.#dispatch(type === 'DELETED' ? this.#cache.remove(item) : this.#cache.upsert(item));
    }
    this.#tell({ type: 'event', event: type });
  }

  async #failed(error: unknown): Promise<void> {
    if (this.#isStopped()) return;
    this.#failures += 1;
    if (isApiError(error, 'Gone')) this.#mustList('gone');
    // While nobody answers the version may be as good as ever; an answer that it is not is another matter.
    else if (
      !isApiError(error, 'Unreachable', 'TooMany') &&
      this.#failures >= this.#limits.failuresBeforeRelist
    )
      this.#mustList('failures');
    const { time, random } = this.options;
    const askedMs = retryAfterMsOf(error) ?? 0;
    const retryMs = Math.max(askedMs, backoffMs(this.#failures, this.#limits.backoff, random));
    this.#tell({ type: 'failed', error, failures: this.#failures, retryMs });
    await pause(time, retryMs, this.#stopped.signal);
  }

  #silence(): ApiError {
    this.#mustList('silent');
    return new ApiError('Unreachable', `${this.#name}: nothing heard for ${this.#limits.silenceMsMax} ms`);
  }

  #mustList(reason: RelistReason): void {
    // The reason of a list that has failed stays.
    if (this.#version !== null) this.#relistReason = reason;
    this.#version = null;
  }

  #dispatch(changes: readonly CacheChange<T>[]): void {
    for (const change of changes) if (!this.#isStopped()) this.#subscribers.tell(change);
  }

  #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  #tell(event: InformerEvent): void {
    this.options.observe?.(event);
  }

  get #name(): string {
    return listPath(this.options.resource, this.options.namespace);
  }
}

function bookmarkOf(object: unknown, name: string): string {
  const { metadata } = (object ?? {}) as { readonly metadata?: { readonly resourceVersion?: unknown } };
  if (typeof metadata?.resourceVersion === 'string') return metadata.resourceVersion;
  throw new ApiError('Malformed', `watch of ${name}: a bookmark without a resourceVersion`);
}
