// SPDX-License-Identifier: Apache-2.0
/**
 * Objects as sets of fields, for the stand-in of an API server: who owns which, and what a server-side apply makes of
 * them. Far simpler than structured-merge-diff: lists of objects are keyed by what their entries have (uid, type or
 * name), all other lists are one field.
 */
import { isDeepStrictEqual } from 'node:util';

export type Json = Record<string, unknown>;

/** A path (JSON of its segments) with the value there; no value is an object with fields. */
export type Fields = Map<string, unknown>;

type Segment = string | readonly [key: string, value: unknown];

/** In this order: an owner reference has a name too, and a uid that tells more. */
const LIST_KEYS = ['uid', 'type', 'name'] as const;

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function fieldsOf(object: Json): Fields {
  const fields: Fields = new Map();
  const walk = (value: unknown, path: readonly Segment[]): void => {
    const entries = entriesOf(value);
    if (entries === null || entries.length === 0) fields.set(JSON.stringify(path), value);
    else for (const [segment, inner] of entries) walk(inner, [...path, segment]);
  };
  for (const [name, value] of Object.entries(object)) walk(value, [name]);
  return fields;
}

export function objectOf(fields: Fields): Json {
  const root: Json = {};
  for (const [path, value] of fields) put(root, JSON.parse(path) as Segment[], value);
  return root;
}

/** RFC 7386. */
export function mergePatched(target: unknown, patch: unknown): unknown {
  if (!isJson(patch)) return patch;
  const result: Json = isJson(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) Reflect.deleteProperty(result, name);
    else result[name] = mergePatched(result[name], value);
  }
  return result;
}

/** Who owns which fields of one object. */
export class Ownership {
  readonly #owned = new Map<string, Set<string>>();

  /** Fields that somebody else owns and that this apply would change. */
  conflicts(manager: string, live: Json, applied: Json): { readonly path: string; readonly owner: string }[] {
    const before = fieldsOf(live);
    const changed = [...fieldsOf(applied)].filter(
      ([path, value]) => !isDeepStrictEqual(before.get(path), value),
    );
    return changed.flatMap(([path]) =>
      this.#ownersOf(path)
        .filter((owner) => owner !== manager)
        .map((owner) => ({ path, owner })),
    );
  }

  /** The object after the apply. Fields that only this manager owned and that it no longer gives are gone. */
  apply(manager: string, live: Json, applied: Json): Json {
    const fields = fieldsOf(live);
    const given = fieldsOf(applied);
    const mine = this.#owned.get(manager) ?? new Set<string>();
    this.#owned.set(manager, new Set(given.keys()));
    for (const path of mine) if (!given.has(path) && this.#ownersOf(path).length === 0) fields.delete(path);
    for (const [path, value] of given) {
      const same = isDeepStrictEqual(fields.get(path), value);
      if (!same) this.#take(path, manager);
      fields.set(path, value);
    }
    return objectOf(fields);
  }

  /** A write that was no apply: what it changed belongs to its manager. */
  changed(manager: string, before: Json, after: Json): void {
    const was = fieldsOf(before);
    const mine = this.#owned.get(manager) ?? new Set<string>();
    this.#owned.set(manager, mine);
    for (const [path, value] of fieldsOf(after)) {
      if (isDeepStrictEqual(was.get(path), value)) continue;
      this.#take(path, manager);
      mine.add(path);
    }
  }

  #ownersOf(path: string): string[] {
    return [...this.#owned].filter(([, paths]) => paths.has(path)).map(([owner]) => owner);
  }

  #take(path: string, manager: string): void {
    for (const [owner, paths] of this.#owned) if (owner !== manager) paths.delete(path);
  }
}

/** null for what is one field. */
function entriesOf(value: unknown): [Segment, unknown][] | null {
  if (isJson(value)) return Object.entries(value);
  if (!Array.isArray(value)) return null;
  const items: unknown[] = value;
  const key = LIST_KEYS.find((name) => items.every((item) => isJson(item) && typeof item[name] === 'string'));
  if (key === undefined) return null;
  return items.map((item) => [[key, (item as Json)[key]], item]);
}

function put(parent: Json | unknown[], path: readonly Segment[], value: unknown): void {
  const [segment, ...rest] = path;
  if (segment === undefined) return;
  if (typeof segment === 'string') {
    const object = parent as Json;
    if (rest.length > 0) put(childOf(object, segment, rest), rest, value);
    else if (!(isEmpty(value) && segment in object)) object[segment] = structuredClone(value);
    return;
  }
  const [key, word] = segment;
  const list = parent as Json[];
  let item = list.find((one) => one[key] === word);
  if (item === undefined) list.push((item = { [key]: word }));
  put(item, rest, value);
}

function childOf(object: Json, name: string, rest: readonly Segment[]): Json | unknown[] {
  const there = object[name];
  if (typeof there === 'object' && there !== null) return there as Json | unknown[];
  const made: Json | unknown[] = typeof rest[0] === 'string' ? {} : [];
  object[name] = made;
  return made;
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
