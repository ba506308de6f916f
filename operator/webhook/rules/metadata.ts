// SPDX-License-Identifier: Apache-2.0
/** What the template hands on to VMIs and their pods: KubeVirt and others take some of it for orders. */
import { canBeRead, NETWORKS_ANNOTATION } from '../../logging-network.js';
import { GROUP } from '../../names.js';
import { absent, isSet, rule, type Rule } from './rule.js';

const OWN = `leave out what begins with ${GROUP}/: the operator writes that itself, and a person's word belongs in the resource's own metadata`;
const hasOwn = (value: unknown): boolean =>
  Object.keys(value ?? {}).some((key) => key.startsWith(`${GROUP}/`));

const MESHES: readonly (readonly [key: string, value: string])[] = [
  ['sidecar.istio.io/inject', 'true'],
  ['linkerd.io/inject', 'enabled'],
];
const IN_BETWEEN = "a mesh's proxy would stand between the two sides: leave it out";

export const METADATA: readonly Rule[] = [
  absent(
    'metadata.annotations.hooks.kubevirt.io/hookSidecars',
    'a hook sidecar may change the machine on one side only: leave it out',
  ),
  absent(
    'metadata.annotations.kubevirt.io/ephemeral-provisioning',
    'so KubeVirt marks a pod that runs no guest, and ours would not be protected: leave it out',
  ),
  rule(
    `metadata.annotations.${NETWORKS_ANNOTATION}`,
    'Multus reads a list in JSON, or names with commas: write it so',
    (value) => isSet(value) && !canBeRead(String(value)),
  ),
  ...(['labels', 'annotations'] as const).flatMap((kind) => [
    rule(`metadata.${kind}`, OWN, hasOwn),
    ...MESHES.map(([key, value]) => rule(`metadata.${kind}.${key}`, IN_BETWEEN, (is) => is === value)),
  ]),
];
