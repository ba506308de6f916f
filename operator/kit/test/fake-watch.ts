// SPDX-License-Identifier: Apache-2.0
/** One open watch at the stand-in of an API server. */
import type { Json } from './fake-fields.js';
import type { Scissors } from './fake-faults.js';
import type { Change } from './fake-history.js';
import type { FakeObject } from './fake-store.js';

export interface WatchScope {
  readonly table: string;
  readonly namespace: string | undefined;
  readonly bookmarks: boolean;
  readonly selects: (object: Json) => boolean;
}

export class FakeWatch {
  #held: string[] | null = null;
  #bookmarkKind: { apiVersion?: unknown; kind?: unknown } = {};

  constructor(
    private readonly scope: WatchScope,
    private readonly out: Scissors,
    private readonly close: () => void,
  ) {}

  /** `api/v1/pods` */
  get table(): string {
    return this.scope.table;
  }

  tell(change: Change): void {
    const { table, namespace, selects } = this.scope;
    const { metadata } = change.last;
    if (change.table !== table || (namespace !== undefined && metadata.namespace !== namespace)) return;
    const was = change.before !== null && selects(change.before);
    const is = change.after !== null && selects(change.after);
    if (!was && !is) return;
    this.#bookmarkKind = { apiVersion: change.last['apiVersion'], kind: change.last['kind'] };
    const type = is ? (was ? 'MODIFIED' : 'ADDED') : 'DELETED';
    this.#send(type, is || change.after === null ? change.last : asLeft(change));
  }

  bookmark(version: string): void {
    if (this.scope.bookmarks)
      this.#send('BOOKMARK', { ...this.#bookmarkKind, metadata: { resourceVersion: version } });
  }

  /** As the API server ends a watch that it can't go on with. */
  error(status: number, reason: string, message: string): void {
    this.#send('ERROR', {
      kind: 'Status',
      apiVersion: 'v1',
      status: 'Failure',
      code: status,
      reason,
      message,
    });
  }

  /** Whatever is put into the stream. */
  raw(text: string): void {
    this.out.write(text);
  }

  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const line of held) this.out.write(line);
  }

  /** A clean end, as at a watch's time-out. */
  end(): void {
    this.out.end();
  }

  cut(): void {
    this.close();
  }

  #send(type: string, object: Json): void {
    const line = `${JSON.stringify({ type, object })}\n`;
    if (this.#held === null) this.out.write(line);
    else this.#held.push(line);
  }
}

/** For a watch whose selector it left, an object is deleted in its last form, at the version of the change. */
function asLeft({ before, last }: Change): Json {
  const { resourceVersion } = last.metadata;
  const left = before as FakeObject;
  return { ...left, metadata: { ...left.metadata, resourceVersion } };
}
