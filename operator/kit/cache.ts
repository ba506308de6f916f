// SPDX-License-Identifier: Apache-2.0
/** Objects as they were last seen, and what a new look at them changes. No I/O. */
import { keyOf, type KubeObject, type Stored } from './object.js';

export type CacheChange<T extends KubeObject> =
  | { readonly type: 'add'; readonly object: Stored<T> }
  | { readonly type: 'update'; readonly object: Stored<T>; readonly before: Stored<T> }
  | { readonly type: 'delete'; readonly last: Stored<T> };

export class ObjectCache<T extends KubeObject> {
  readonly #byKey = new Map<string, Stored<T>>();
  readonly #byUid = new Map<string, Stored<T>>();

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): Stored<T> | undefined {
    return this.#byKey.get(key);
  }

  byUid(uid: string): Stored<T> | undefined {
    return this.#byUid.get(uid);
  }

  list(): readonly Stored<T>[] {
    return [...this.#byKey.values()];
  }

  /** An object as it is now. */
  upsert(object: Stored<T>): readonly CacheChange<T>[] {
    const before = this.#byKey.get(keyOf(object));
    if (before === undefined) return [this.#add(object)];
    // Another object by the same name: the old one is gone, even if nobody saw it go.
    if (before.metadata.uid !== object.metadata.uid) return [this.#delete(before), this.#add(object)];
    if (before.metadata.resourceVersion === object.metadata.resourceVersion) return [];
    this.#put(object);
    return [{ type: 'update', object, before }];
  }

  /** An object that is gone, in its last form. */
  remove(last: Stored<T>): readonly CacheChange<T>[] {
    const known = this.#byKey.get(keyOf(last));
    return known?.metadata.uid === last.metadata.uid ? [this.#delete(last)] : [];
  }

  /** All objects that there are. What is not among them is gone; its last known form must do. */
  replace(objects: readonly Stored<T>[]): readonly CacheChange<T>[] {
    const uids = new Set(objects.map(({ metadata }) => metadata.uid));
    const vanished = this.list().filter(({ metadata }) => !uids.has(metadata.uid));
    return [
      ...vanished.map((last) => this.#delete(last)),
      ...objects.flatMap((object) => this.upsert(object)),
    ];
  }

  #add(object: Stored<T>): CacheChange<T> {
    this.#put(object);
    return { type: 'add', object };
  }

  #put(object: Stored<T>): void {
    this.#byKey.set(keyOf(object), object);
    this.#byUid.set(object.metadata.uid, object);
  }

  #delete(last: Stored<T>): CacheChange<T> {
    this.#byKey.delete(keyOf(last));
    this.#byUid.delete(last.metadata.uid);
    return { type: 'delete', last };
  }
}
