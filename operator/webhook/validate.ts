// SPDX-License-Identifier: Apache-2.0
/**
 * What cannot work is refused when it is applied: tables of rules (rules/), each with the sentence that says what to
 * change. Pure. What the schema can say for itself it says (crds/).
 */
import type { Ftvm } from '../api/ftvm.js';
import { DEVICES } from './rules/devices.js';
import { MACHINE } from './rules/machine.js';
import { METADATA } from './rules/metadata.js';
import { NETWORK } from './rules/network.js';
import { PLACEMENT } from './rules/placement.js';
import { valueAt, type LooseSpec, type Rule } from './rules/rule.js';
import { SETTINGS } from './rules/settings.js';
import { SHAPE } from './rules/shape.js';

export interface Objection {
  /** Path of the field, as in the manifest. */
  readonly field: string;
  /** What is wrong and what to change. */
  readonly sentence: string;
}

/** Of the template; asked in this order. What is not of the kind that it must be is all that is said. */
export const RULES: readonly Rule[] = [...METADATA, ...MACHINE, ...DEVICES, ...NETWORK, ...PLACEMENT];
export { SETTINGS, SHAPE };

/** A rule's field as people write it. */
export const pathOf = (field: string): string => `spec.template.${field.replace(/\.(\d+)(?=\.|$)/g, '[$1]')}`;

function objectionsBy(rules: readonly Rule[], { spec: { template } }: Ftvm): Objection[] {
  const spec = template.spec as LooseSpec;
  return rules
    .filter(({ field, refuses }) => refuses(valueAt(template, field), spec))
    .map(({ field, sentence }) => ({ field: pathOf(field), sentence }));
}

function templateObjections(ftvm: Ftvm): Objection[] {
  const misshapen = objectionsBy(SHAPE, ftvm);
  return misshapen.length > 0 ? misshapen : objectionsBy(RULES, ftvm);
}

/** What stays as it was is not judged again: it may have been taken by an older release, and runs. */
function settingObjections({ spec }: Ftvm, before: Ftvm | null): Objection[] {
  return SETTINGS.filter(({ field, refuses }) => {
    const value = valueAt(spec, field);
    const isNew = before === null || value !== valueAt(before.spec, field);
    return isNew && refuses(value, spec.template.spec);
  }).map(({ field, sentence }) => ({ field: `spec.${field}`, sentence }));
}

/** With keys in one order. */
const essence = (value: unknown): string =>
  JSON.stringify(value, (_key, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );

/** All that stands in the way, in the order of the tables; none: it is accepted. */
export function objectionsTo(ftvm: Ftvm, before: Ftvm | null): Objection[] {
  if (before === null) return [...templateObjections(ftvm), ...settingObjections(ftvm, null)];
  if (ftvm.metadata.deletionTimestamp !== undefined) return [];
  if (essence(ftvm.spec.template) !== essence(before.spec.template)) {
    const sentence =
      'a running machine does not change with its template: delete the resource and create it anew';
    return [{ field: 'spec.template', sentence }];
  }
  return settingObjections(ftvm, before);
}

/** Live migration moves a guest past the log; our own VMIs are never migrated. */
export function migrationObjection(vmi: string): Objection {
  return {
    field: 'spec.vmiName',
    sentence: `${vmi} is a side of a FaultTolerantVM and is not migrated: drain its node, the operator moves it`,
  };
}

export const sentenceOf = (objections: readonly Objection[]): string =>
  objections.map(({ field, sentence }) => `${field}: ${sentence}`).join('; ');
