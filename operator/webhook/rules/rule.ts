// SPDX-License-Identifier: Apache-2.0
/** One row of what is refused: a field, a sentence that says what to change, and when it is said. */
import type { VmiSpec } from '../../api/ftvm.js';

/** Users may leave out what KubeVirt's types take for granted. */
type Loose<T> = T extends object ? { readonly [K in keyof T]?: Loose<T[K]> | undefined } : T;
export type LooseSpec = Loose<VmiSpec>;

export interface Rule {
  /** Below spec.template; an element of a list by its number. */
  readonly field: string;
  readonly sentence: string;
  /** What stands at `field` (undefined when nothing does), and the VM's whole specification beside it. */
  readonly refuses: (value: unknown, spec: LooseSpec) => boolean;
}

export const rule = (field: string, sentence: string, refuses: Rule['refuses']): Rule => ({
  field,
  sentence,
  refuses,
});

/** As KubeVirt reads it: what is null is not there. */
export const isSet = (value: unknown): boolean => value !== undefined && value !== null;
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const absent = (field: string, sentence: string): Rule => rule(field, sentence, isSet);
export const needed = (field: string, sentence: string): Rule =>
  rule(field, sentence, (value) => !isSet(value));
export const empty = (field: string, sentence: string): Rule =>
  rule(field, sentence, (value) => Array.isArray(value) && value.length > 0);
export const off = (field: string, sentence: string): Rule =>
  rule(field, sentence, (value) => value === true);

/** The other rules may take for granted what these say. */
export const object = (field: string): Rule =>
  rule(field, 'an object belongs here', (value) => isSet(value) && !isObject(value));
export const list = (field: string): Rule =>
  rule(
    field,
    'a list of objects belongs here',
    (value) => isSet(value) && !(Array.isArray(value) && value.every(isObject)),
  );

/** What stands at a dotted path. A key with dots of its own comes last. */
export function valueAt(root: unknown, path: string): unknown {
  let here: unknown = root;
  let rest = path;
  while (rest !== '') {
    if (typeof here !== 'object' || here === null) return undefined;
    if (rest in here) return (here as Readonly<Record<string, unknown>>)[rest];
    const dot = rest.indexOf('.');
    if (dot < 0) return undefined;
    here = (here as Readonly<Record<string, unknown>>)[rest.slice(0, dot)];
    rest = rest.slice(dot + 1);
  }
  return here;
}
