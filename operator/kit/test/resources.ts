// SPDX-License-Identifier: Apache-2.0
/** Types of objects that the tests of the kit use. */
import type { KubeObject, Resource } from '../object.js';

export const CONFIG_MAPS: Resource = {
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
};

export const PODS: Resource = { group: '', version: 'v1', plural: 'pods', kind: 'Pod', namespaced: true };

export const NODES: Resource = { group: '', version: 'v1', plural: 'nodes', kind: 'Node', namespaced: false };

export const WIDGETS: Resource = {
  group: 'kit.test',
  version: 'v1',
  plural: 'widgets',
  kind: 'Widget',
  namespaced: true,
};

export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

export interface Widget extends KubeObject {
  readonly spec?: { readonly size?: number; readonly colour?: string };
  readonly status?: {
    readonly seen?: number;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

export function configMap(name: string, data: Record<string, string> = {}): ConfigMap {
  return { metadata: { name, namespace: 'default' }, data };
}

export function widget(name: string, size = 1): Widget {
  return { metadata: { name, namespace: 'default' }, spec: { size } };
}
