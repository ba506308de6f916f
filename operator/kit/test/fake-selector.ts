// SPDX-License-Identifier: Apache-2.0
/** Label and field selectors, for the stand-in of an API server. */
import { isJson, type Json } from './fake-fields.js';

export type Selector = (object: Json) => boolean;

/** @throws Error for a term that is not understood */
export function labelSelector(text: string): Selector {
  const terms = splitTerms(text).map(labelTerm);
  return (object) => {
    const metadata = object['metadata'];
    const labels = isJson(metadata) && isJson(metadata['labels']) ? metadata['labels'] : {};
    return terms.every((term) => term(labels));
  };
}

/** `path=value`, `path==value`, `path!=value`; an absent field counts as ''. Any path is taken. */
export function fieldSelector(text: string): Selector {
  const terms = splitTerms(text).map((term) => {
    const [, path = '', operator = '', value = ''] = /^([^=!]+)(==|=|!=)(.*)$/.exec(term) ?? refuse(term);
    return (object: Json): boolean => (valueAt(object, path.split('.')) === value) === (operator !== '!=');
  });
  return (object) => terms.every((term) => term(object));
}

function labelTerm(term: string): (labels: Json) => boolean {
  const [, set, not, list] = /^(\S+)\s+(not)?in\s+\((.*)\)$/.exec(term) ?? [];
  if (set !== undefined && list !== undefined) {
    const values = list.split(',').map((value) => value.trim());
    return (labels) => values.includes(labels[set] as string) === (not === undefined);
  }
  const [, name, operator, value] = /^([^=!\s]+)\s*(==|=|!=)\s*(\S*)$/.exec(term) ?? [];
  if (name !== undefined) return (labels) => (labels[name] === value) === (operator !== '!=');
  if (term.startsWith('!')) return (labels) => !(term.slice(1) in labels);
  return /^[^\s()=<>]+$/.test(term) ? (labels) => term in labels : refuse(term);
}

function splitTerms(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== '');
}

function valueAt(value: unknown, [name, ...rest]: readonly string[]): string {
  if (name === undefined) return typeof value === 'string' ? value : JSON.stringify(value ?? '');
  const inner = isJson(value) ? value[name] : undefined;
  return inner === undefined ? '' : valueAt(inner, rest);
}

function refuse(term: string): never {
  throw new Error(`the selector '${term}' is not understood`);
}
