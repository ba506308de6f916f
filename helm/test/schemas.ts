// SPDX-License-Identifier: Apache-2.0
/**
 * JSON schemas for kubeconform, from the OpenAPI document of an API server (`/openapi/v2`, or the file that Kubernetes'
 * sources hold of it). Strict: a field that the server does not know is an error, as with `kubectl apply --validate=strict`.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

type Schema = Record<string, unknown>;

export interface OpenApi {
  readonly definitions: Readonly<Record<string, Schema>>;
}

interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

const DEFINITIONS = '#/definitions/';
/** What the document words as strings, and a server takes in other forms too. */
const LENIENT: Readonly<Record<string, Schema>> = {
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': { type: ['integer', 'string'] },
  'io.k8s.apimachinery.pkg.api.resource.Quantity': { type: ['number', 'string'] },
};

/** Under which name kubeconform looks for a schema: kind-group-version, the group without its domain. */
export function fileOf({ group, version, kind }: GroupVersionKind): string {
  const parts = [kind, group.split('.')[0] ?? '', version].filter((part) => part !== '');
  return `${parts.join('-').toLowerCase()}.json`;
}

/** Its kubeconform pattern. */
export const FILE_PATTERN = '{{.ResourceKind}}{{.KindSuffix}}.json';

/**
 * A schema that stands alone: references are replaced by what they name, once on a path (a schema that holds itself,
 * as that of a CustomResourceDefinition does, is open from there on).
 */
export function standalone(document: OpenApi, schema: Schema, within: readonly string[] = []): Schema {
  const reference = schema['$ref'];
  if (typeof reference === 'string') {
    const name = reference.slice(DEFINITIONS.length);
    if (within.includes(name)) return {};
    const named = LENIENT[name] ?? document.definitions[name];
    if (named === undefined) throw new Error(`${name} is not defined`);
    return standalone(document, named, [...within, name]);
  }
  const entries = Object.entries(schema).map(([key, value]) => [key, inner(document, key, value, within)]);
  const closed = 'properties' in schema && !('additionalProperties' in schema);
  return { ...Object.fromEntries(entries), ...(closed ? { additionalProperties: false } : {}) } as Schema;
}

function inner(document: OpenApi, key: string, value: unknown, within: readonly string[]): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (key === 'properties') {
    const properties = Object.entries(value as Record<string, Schema>);
    return Object.fromEntries(
      properties.map(([name, schema]) => [name, standalone(document, schema, within)]),
    );
  }
  return key === 'items' || key === 'additionalProperties'
    ? standalone(document, value as Schema, within)
    : value;
}

/** Writes the schemas of these kinds, and returns kubeconform's `-schema-location`. @throws when one is not known */
export async function writeSchemas(
  document: OpenApi,
  kinds: readonly { readonly apiVersion: string; readonly kind: string }[],
  folder: string,
): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const { apiVersion, kind } of kinds) {
    const [version = '', group = ''] = apiVersion.split('/').reverse();
    const wanted = { group, version, kind };
    const schema = Object.values(document.definitions).find((definition) => isOf(definition, wanted));
    if (schema === undefined) throw new Error(`the API server knows no ${kind} of ${apiVersion}`);
    await writeFile(join(folder, fileOf(wanted)), JSON.stringify(standalone(document, schema)));
  }
  return join(folder, FILE_PATTERN);
}

function isOf(definition: Schema, { group, version, kind }: GroupVersionKind): boolean {
  const names = definition['x-kubernetes-group-version-kind'] as readonly GroupVersionKind[] | undefined;
  return (
    names?.some((name) => name.group === group && name.version === version && name.kind === kind) ?? false
  );
}
