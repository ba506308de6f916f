// SPDX-License-Identifier: Apache-2.0
/** The chart, rendered by helm and read back. */
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { REPO } from '../../cli/local/layout.js';
import { run } from '../../cli/local/run.js';
import { KUBERNETES_VERSION } from '../../test/cluster/bed/settings.js';

export const CHART = join(REPO, 'helm');
export const NAMESPACE = 'lockstep-system';
/** Files of helm/test/values; `default` has none. */
export const VARIANTS = ['default', 'everything', 'external-store', 'external-store-policies'] as const;
export type Variant = (typeof VARIANTS)[number];

type Fields = Readonly<Record<string, unknown>>;

export interface Rendered extends Fields {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

export interface Helm {
  readonly program: string;
}

export function valuesOf(variant: Variant): string[] {
  return variant === 'default' ? [] : ['--values', join(CHART, 'test/values', `${variant}.yaml`)];
}

/** The text that `helm template` writes. Rejects with helm's own words. */
export function template(helm: Helm, args: readonly string[], chart: string = CHART): Promise<string> {
  const options = ['--namespace', NAMESPACE, '--kube-version', KUBERNETES_VERSION, ...args];
  return run(helm.program, ['template', 'lockstep', chart, ...options], { outputBytesMax: 16 << 20 });
}

export function parse(text: string): Rendered[] {
  return (loadAll(text) as (Rendered | null)[]).filter((object) => object !== null);
}

export async function render(helm: Helm, args: readonly string[] = []): Promise<Rendered[]> {
  return parse(await template(helm, args));
}

/** The one of this kind and name. @throws when it is not there, or twice */
export function one(objects: readonly Rendered[], kind: string, name: string): Rendered {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name === name);
  const [only] = found;
  if (only === undefined || found.length > 1) throw new Error(`${found.length} of ${kind} ${name}`);
  return only;
}

/** What is at the end of the path, through objects and arrays; undefined where it ends early. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (place, step) =>
      typeof place === 'object' && place !== null
        ? (place as Record<string | number, unknown>)[step]
        : undefined,
    value,
  );
}

export interface Container extends Fields {
  readonly name: string;
  readonly image: string;
  readonly securityContext?: Fields;
}

export interface PodTemplate {
  readonly owner: string;
  readonly spec: Fields;
  readonly labels: Readonly<Record<string, string>>;
  readonly containers: readonly Container[];
}

/** Every pod that the chart leads to. */
export function podsOf(objects: readonly Rendered[]): PodTemplate[] {
  return objects.flatMap((object) => {
    const pod = object.kind === 'Pod' ? object : at(object, 'spec', 'template');
    const spec = at(pod, 'spec') as Fields | undefined;
    if (spec?.['containers'] === undefined) return [];
    const containers = [
      ...((spec['initContainers'] ?? []) as Container[]),
      ...(spec['containers'] as Container[]),
    ];
    const labels = (at(pod, 'metadata', 'labels') ?? {}) as Readonly<Record<string, string>>;
    return [{ owner: `${object.kind} ${object.metadata.name}`, spec, labels, containers }];
  });
}
