// SPDX-License-Identifier: Apache-2.0
/**
 * The memory of the stand-in of an API server: objects of any kind by path, and the rules by which they change. No
 * schemas, no defaults, no quotas.
 */
import { isDeepStrictEqual } from 'node:util';
import { FakeHistory, FakeRefusal } from './fake-history.js';
import { isJson, mergePatched, Ownership, type Json } from './fake-fields.js';

export interface FakeMeta extends Json {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation: number;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  finalizers?: string[];
  ownerReferences?: { uid: string }[];
}

export interface FakeObject extends Json {
  metadata: FakeMeta;
}

/** Where an object lives: `apis/apps/v1/deployments`, and its name. */
export interface Address {
  readonly table: string;
  readonly namespace?: string | undefined;
  readonly name: string;
}

export interface Precondition {
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

type Write = Precondition & { readonly manager: string; readonly subresource: string | undefined };

export class FakeStore {
  readonly #tables = new Map<string, Map<string, FakeObject>>();
  readonly #ownership = new Map<string, Ownership>();
  readonly history = new FakeHistory();
  #uids = 0;

  list(table: string, namespace?: string): readonly FakeObject[] {
    const all = [...(this.#tables.get(table)?.entries() ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
    return all
      .map(([, object]) => object)
      .filter(({ metadata }) => namespace === undefined || metadata.namespace === namespace);
  }

  find(address: Address): FakeObject | undefined {
    return this.#tables.get(address.table)?.get(keyIn(address));
  }

  get(address: Address): FakeObject {
    const object = this.find(address);
    if (object !== undefined) return object;
    throw new FakeRefusal(404, 'NotFound', `${address.table} "${address.name}" not found`);
  }

  create(address: Address, body: Json, manager: string, withStatus = false): FakeObject {
    if (this.find(address) !== undefined)
      throw new FakeRefusal(409, 'AlreadyExists', `${address.table} "${address.name}" already exists`);
    const made = withStatus ? body : without(body, 'status');
    const metadata: FakeMeta = {
      ...without(metaOf(body), ...SYSTEM),
      name: address.name,
      ...(address.namespace === undefined ? {} : { namespace: address.namespace }),
      uid: `00000000-0000-4000-8000-${(++this.#uids).toString(16).padStart(12, '0')}`,
      creationTimestamp: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
      generation: 1,
      resourceVersion: '',
    };
    const object = this.#commit(address, null, { ...made, metadata });
    this.#owners(object).changed(manager, {}, contentOf(object));
    return object;
  }

  /** PUT, or what another controller did (`withStatus`). */
  replace(address: Address, body: Json, write: Write, withStatus = false): FakeObject {
    const before = this.get(address);
    const wanted = withStatus ? body : merged(before, body, write.subresource);
    return this.#write(address, before, wanted, { ...preconditionOf(body), ...write });
  }

  mergePatch(address: Address, patch: Json, write: Write): FakeObject {
    const before = this.get(address);
    const wanted = merged(before, mergePatched(before, patch) as Json, write.subresource);
    return this.#write(address, before, wanted, { ...preconditionOf(patch), ...write });
  }

  apply(address: Address, body: Json, write: Write & { readonly force: boolean }): FakeObject {
    const precondition = preconditionOf(body);
    const before = this.find(address);
    const content = appliedOf(body, write.subresource);
    const manager = `${write.manager} ${write.subresource ?? ''}`;
    if (before === undefined) {
      if (write.subresource !== undefined)
        throw new FakeRefusal(404, 'NotFound', `"${address.name}" not found`);
      if (precondition.uid !== undefined || precondition.resourceVersion !== undefined)
        throw new FakeRefusal(
          409,
          'Conflict',
          `"${address.name}" does not exist, but a precondition was given`,
        );
      const created = this.create(address, content, manager);
      this.#owners(created).apply(manager, contentOf(created), content);
      return created;
    }
    checkPatch(before, precondition);
    const owners = this.#owners(before);
    const [conflict] = write.force ? [] : owners.conflicts(manager, contentOf(before), content);
    if (conflict !== undefined)
      throw new FakeRefusal(
        409,
        'Conflict',
        `Apply failed with a conflict with "${conflict.owner}": ${conflict.path}`,
      );
    const after = owners.apply(manager, contentOf(before), content);
    const metadata = { ...metaOf(after), ...only(before.metadata, ...SYSTEM) } as FakeMeta;
    return this.#settle(address, before, { ...after, metadata });
  }

  /** @param gracePeriodS null: the object's own; a pod on a node stays until it is removed */
  delete(address: Address, precondition: Precondition, gracePeriodS: number | null): FakeObject {
    const before = this.get(address);
    check(before, precondition);
    const spec = before['spec'];
    const runs = address.table.endsWith('/pods') && isJson(spec) && spec['nodeName'] !== undefined;
    const grace = runs ? (gracePeriodS ?? 30) : 0;
    const metadata = {
      ...before.metadata,
      deletionTimestamp: before.metadata.deletionTimestamp ?? new Date().toISOString(),
      deletionGracePeriodSeconds: Math.min(grace, before.metadata.deletionGracePeriodSeconds ?? grace),
    };
    return this.#settle(address, before, { ...before, metadata });
  }

  /** It is gone, whatever finalizers or grace say. */
  remove(address: Address): void {
    this.#commit(address, this.get(address), null);
  }

  #write(address: Address, before: FakeObject, wanted: Json, write: Write): FakeObject {
    checkPatch(before, write);
    const metadata = {
      ...without(metaOf(wanted), ...SYSTEM),
      ...only(before.metadata, ...SYSTEM),
    } as FakeMeta;
    const after = this.#settle(address, before, { ...wanted, metadata });
    this.#owners(after).changed(write.manager, contentOf(before), contentOf(after));
    return after;
  }

  /** An object on its way out goes when nothing holds it any more. */
  #settle(address: Address, before: FakeObject, wanted: Json & { metadata: FakeMeta }): FakeObject {
    const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = wanted.metadata;
    const gone =
      deletionTimestamp !== undefined && deletionGracePeriodSeconds === 0 && finalizers.length === 0;
    if (gone) return this.#commit(address, before, null);
    const specChanged = !isDeepStrictEqual(bodyOf(before), bodyOf(wanted));
    const generation = before.metadata.generation + (specChanged ? 1 : 0);
    const after = { ...wanted, metadata: { ...wanted.metadata, generation } };
    return isDeepStrictEqual(after, before) ? before : this.#commit(address, before, after);
  }

  #commit(address: Address, before: FakeObject | null, wanted: FakeObject | null): FakeObject {
    const table = this.#tables.get(address.table) ?? new Map<string, FakeObject>();
    this.#tables.set(address.table, table);
    const source = wanted ?? before;
    if (source === null) throw new Error('nothing to commit');
    const metadata = { ...source.metadata, resourceVersion: this.history.next() };
    const last = structuredClone({ ...source, metadata });
    if (wanted === null) table.delete(keyIn(address));
    else table.set(keyIn(address), last);
    this.history.add({ table: address.table, before, after: wanted === null ? null : last, last });
    return last;
  }

  #owners(object: FakeObject): Ownership {
    const owners = this.#ownership.get(object.metadata.uid) ?? new Ownership();
    this.#ownership.set(object.metadata.uid, owners);
    return owners;
  }
}

function keyIn({ namespace = '', name }: Address): string {
  return `${namespace}/${name}`;
}

function metaOf(object: Json): Json {
  return isJson(object['metadata']) ? object['metadata'] : {};
}

function preconditionOf(body: Json): Precondition {
  const { uid, resourceVersion } = metaOf(body);
  return {
    uid: typeof uid === 'string' ? uid : undefined,
    resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : undefined,
  };
}

function check({ metadata }: FakeObject, { uid, resourceVersion }: Precondition): void {
  if (uid !== undefined && uid !== metadata.uid)
    throw new FakeRefusal(
      409,
      'Conflict',
      `the UID in the precondition (${uid}) does not match ${metadata.uid}`,
    );
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion)
    throw new FakeRefusal(409, 'Conflict', `"${metadata.name}": the object has been modified`);
}

/** As a real one words it when the identity comes within a body. */
function checkPatch(before: FakeObject, precondition: Precondition): void {
  if (precondition.uid !== undefined && precondition.uid !== before.metadata.uid)
    throw new FakeRefusal(422, 'Invalid', 'metadata.uid: Invalid value: field is immutable', [
      'metadata.uid',
    ]);
  check(before, precondition);
}

const SYSTEM = [
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
];

function only(object: Json, ...names: readonly string[]): Json {
  return Object.fromEntries(Object.entries(object).filter(([name]) => names.includes(name)));
}

function without(object: Json, ...names: readonly string[]): Json {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}

/** What a write may not change stays: the identity always, and the status has a door of its own. */
function merged(before: FakeObject, body: Json, subresource: string | undefined): Json {
  if (subresource === undefined) return { ...without(body, 'status'), ...only(before, 'status') };
  return { ...without(before, subresource), ...only(body, subresource) };
}

/** What of a body an apply is about. */
function appliedOf(body: Json, subresource: string | undefined): Json {
  if (subresource !== undefined) return only(body, subresource);
  return without(contentOf(body), 'status');
}

/** What can be owned. */
function contentOf(object: Json): Json {
  return { ...object, metadata: without(metaOf(object), ...SYSTEM) };
}

/** A change here is a new generation. */
function bodyOf(object: Json): Json {
  return without(object, 'metadata', 'status');
}
