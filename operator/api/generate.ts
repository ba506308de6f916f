#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/**
 * `npm run generate`: TypeScript types, the table of fields in docs/ftvm.md and the chart's copy, all from the
 * CustomResourceDefinition in crds/, and the page's table of what the webhook refuses from its rules. What the API server
 * fills in by default is there for whoever reads.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { load as loadYaml } from 'js-yaml';
import { compile, type JSONSchema } from 'json-schema-to-typescript';
import prettier from 'prettier';
import { RULES, SETTINGS } from '../webhook/validate.js';

/** The checkout (this file runs as build/operator/api/generate.js). */
const REPO = resolve(import.meta.dirname, '../../..');
const CRD = 'crds/faulttolerantvms.lockstep.dev.yaml';
const beginOf = (name: string): string => `<!-- ${name}: made by npm run generate -->`;
const endOf = (name: string): string => `<!-- end of ${name} -->`;

/** A structural schema, as far as it is used here. */
interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
}

interface Crd {
  readonly spec: { readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[] };
}

export const readCrd = (): string => readFileSync(join(REPO, CRD), 'utf8');

function rootOf(crd: string): Schema {
  const [version] = (loadYaml(crd) as Crd).spec.versions;
  if (version === undefined) throw new Error(`${CRD} has no version`);
  return version.schema.openAPIV3Schema;
}

/** What has a default is always there. Objects of which nothing is declared are Kubernetes' or KubeVirt's. */
function filled(schema: Schema): Schema & { readonly additionalProperties?: Schema | boolean } {
  const properties = schema.properties ?? {};
  const defaulted = Object.entries(properties).filter(([, one]) => one.default !== undefined);
  const isOpen = schema.type === 'object' && schema.properties === undefined;
  // The generator takes a default for an excuse to leave a field out, and a type for more than its words.
  const { type, ...rest } = { ...schema, default: undefined };
  return {
    ...rest,
    ...(type === undefined || schema.enum !== undefined ? {} : { type }),
    ...(schema.properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, one]) => [name, filled(one)]),
          ),
          required: [...new Set([...(schema.required ?? []), ...defaulted.map(([name]) => name)])],
          additionalProperties: false,
        }),
    ...(isOpen && schema.additionalProperties === undefined ? { additionalProperties: true } : {}),
    ...(schema.items === undefined ? {} : { items: filled(schema.items) }),
  };
}

const HEADER = `// SPDX-License-Identifier: Apache-2.0
// Made from ${CRD} by npm run generate; changed there, not here.
`;

/** The text of ftvm.generated.ts. */
export async function typesOf(crd: string): Promise<string> {
  const { spec, status } = rootOf(crd).properties ?? {};
  if (spec === undefined || status === undefined) throw new Error(`${CRD} declares no spec or no status`);
  const options = { bannerComment: '', format: false, strictIndexSignatures: false };
  const parts = [
    await compile(filled(spec) as JSONSchema, 'FaultTolerantVMSpec', options),
    await compile(filled(status) as JSONSchema, 'FaultTolerantVMStatus', options),
  ];
  const config = await prettier.resolveConfig(join(REPO, 'operator/api/ftvm.generated.ts'));
  return prettier.format(HEADER + parts.join('\n'), { ...config, parser: 'typescript' });
}

function kindOf({ type = '', enum: words, minimum, maximum }: Schema): string {
  if (words !== undefined) return words.map((word) => `\`${word}\``).join(', ');
  return minimum === undefined || maximum === undefined ? type : `${type}, ${minimum} to ${maximum}`;
}

function rows(schema: Schema, path: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, one]) => {
    const field = `${path}.${name}`;
    const inner = one.items ?? one;
    const value =
      typeof one.default === 'object' || one.default === undefined
        ? ''
        : `\`${JSON.stringify(one.default).replaceAll('"', '')}\``;
    const row = `| \`${field}\` | ${kindOf(one)} | ${value} | ${one.description ?? ''} |`;
    return [row, ...rows(inner, one.items === undefined ? field : `${field}[]`)];
  });
}

/** The table of all fields, in Markdown. */
export function tableOf(crd: string): string {
  const { spec = {}, status = {} } = rootOf(crd).properties ?? {};
  const head = ['| field | type | default | meaning |', '|---|---|---|---|'];
  return [...head, ...rows(spec, 'spec'), ...rows(status, 'status')].join('\n');
}

/** The table of all that the webhook refuses, in Markdown. */
export function refusalTable(): string {
  return [
    '| field below `spec.template` | what is said |',
    '|---|---|',
    ...RULES.map(({ field, sentence }) => `| \`${field.replaceAll('.0', '[]')}\` | ${sentence} |`),
    ...SETTINGS.map(({ field, sentence }) => `| \`${field}\`, beside the template | ${sentence} |`),
  ].join('\n');
}

function pageWithTable(page: string, name: string, table: string): string {
  const [first, last] = [beginOf(name), endOf(name)];
  const [begin, end] = [page.indexOf(first), page.indexOf(last)];
  if (begin < 0 || end < begin) throw new Error(`the page needs the lines '${first}' and '${last}'`);
  return `${page.slice(0, begin + first.length)}\n\n${table}\n\n${page.slice(end)}`;
}

/** A page with its tables made anew. @throws Error when the page has no place for them */
export const pageWith = (page: string, crd: string): string =>
  pageWithTable(pageWithTable(page, 'fields', tableOf(crd)), 'refusals', refusalTable());

export const PLACES = {
  types: join(REPO, 'operator/api/ftvm.generated.ts'),
  page: join(REPO, 'docs/ftvm.md'),
  chart: join(REPO, 'helm/files', CRD),
} as const;

if (process.argv[1] === import.meta.filename) {
  const crd = readCrd();
  writeFileSync(PLACES.types, await typesOf(crd));
  writeFileSync(PLACES.page, pageWith(readFileSync(PLACES.page, 'utf8'), crd));
  writeFileSync(PLACES.chart, crd);
}
