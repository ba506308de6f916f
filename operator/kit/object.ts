// SPDX-License-Identifier: Apache-2.0
/** Kubernetes objects as far as every kind is alike, and where they live in the API. */

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  /** Opaque: equal or not equal, nothing else. */
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
}

/** What someone wants to be there. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

/** What the API server has: it was given an identity and a version. */
export type Stored<T extends KubeObject = KubeObject> = T & {
  readonly metadata: T['metadata'] & { readonly uid: string; readonly resourceVersion: string };
};

/** One type of objects, as in the API's paths. */
export interface Resource {
  /** '' is the core group. */
  readonly group: string;
  readonly version: string;
  /** Lower case, as in the path: `pods`. */
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** One object by name. */
export interface Ref {
  readonly name: string;
  /** Required for a namespaced resource, absent for any other. */
  readonly namespace?: string | undefined;
}

/** A mistake in this program: the address of an object can't be made. */
export class AddressError extends Error {
  readonly code = 'KIT_ADDRESS';
}

export function apiVersionOf({ group, version }: Resource): string {
  return group === '' ? version : `${group}/${version}`;
}

/** Path of all objects, of one namespace or (undefined) of all. @throws AddressError */
export function listPath(resource: Resource, namespace?: string): string {
  const { group, version, plural, namespaced } = resource;
  if (namespace !== undefined && !namespaced)
    throw new AddressError(`${plural} have no namespace: leave out '${namespace}'`);
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  return namespace === undefined
    ? `${root}/${plural}`
    : `${root}/namespaces/${segment(namespace, 'namespace')}/${plural}`;
}

/** Path of one object, or of one of its subresources. @throws AddressError */
export function objectPath(resource: Resource, { name, namespace }: Ref, subresource?: string): string {
  if (resource.namespaced && namespace === undefined)
    throw new AddressError(`${resource.plural} '${name}': a namespace is needed`);
  const path = `${listPath(resource, namespace)}/${segment(name, 'name')}`;
  return subresource === undefined ? path : `${path}/${segment(subresource, 'subresource')}`;
}

/** `namespace/name`, or `name` for what has no namespace. */
export function keyOf({ metadata }: { readonly metadata: Ref }): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

/** The inverse of keyOf. */
export function refOf(key: string): Ref {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

function segment(text: string, what: string): string {
  if (text === '' || text === '.' || text === '..')
    throw new AddressError(`'${text}' is not the ${what} of an object`);
  return encodeURIComponent(text);
}
