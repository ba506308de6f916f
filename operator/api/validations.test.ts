// SPDX-License-Identifier: Apache-2.0
/** The rules (CEL) of the CustomResourceDefinition, evaluated as the API server does: on what they stand at, and on its past. */
import { celEnv, isCelError, parse, plan, type CelInput } from '@bufbuild/cel';
import { expect } from 'chai';
import { load as loadYaml } from 'js-yaml';
import { merged, type Json } from '../webhook/test/manifests.js';
import { parseConfig } from '../../sidecar/kubevirt/config.js';
import { settingsOf } from '../resources/secret.js';
import { PRIMARY, sampleFtvm, SPEC } from '../test/samples.js';
import { readCrd } from './generate.js';

interface Validation {
  readonly rule: string;
  readonly message: string;
}

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly 'x-kubernetes-validations'?: readonly Validation[];
}

interface Crd {
  readonly spec: { readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[] };
}

const SCHEMA = (loadYaml(readCrd()) as Crd).spec.versions[0]?.schema.openAPIV3Schema ?? {};

/** A rule about a change stands still when there is nothing to compare with. */
const isTransition = ({ rule }: Validation): boolean => /\boldSelf\b/.test(rule);

function holds({ rule }: Validation, self: unknown, oldSelf: unknown): boolean {
  const environment = celEnv();
  const result = plan(environment, parse(rule))({ self: self as CelInput, oldSelf: oldSelf as CelInput });
  if (isCelError(result)) throw new Error(`${rule}: ${result.message}`);
  if (typeof result !== 'boolean') throw new Error(`${rule} is neither true nor false`);
  return result;
}

const keysOf = ({ properties = {}, items }: Schema): [string, Schema][] => {
  // Rules below lists are another matter: the API server finds the past of an element by its key.
  if (items !== undefined && rulesBelow(items).length > 0)
    throw new Error('a rule below a list is not known here');
  return Object.entries(properties);
};

function rulesBelow(schema: Schema): Validation[] {
  return [
    ...(schema['x-kubernetes-validations'] ?? []),
    ...keysOf(schema).flatMap(([, one]) => rulesBelow(one)),
  ];
}

interface Judged {
  readonly validation: Validation;
  readonly holds: boolean;
}

/** All rules that have something to say about an object. */
function judge(schema: Schema, self: unknown, oldSelf: unknown): Judged[] {
  if (self === undefined) return [];
  const own = (schema['x-kubernetes-validations'] ?? [])
    .filter((one) => !isTransition(one) || oldSelf !== undefined)
    .map((validation) => ({ validation, holds: holds(validation, self, oldSelf) }));
  const below = keysOf(schema).flatMap(([key, one]) =>
    judge(one, (self as Json)[key], (oldSelf as Json | undefined)?.[key]),
  );
  return [...own, ...below];
}

const GOOD = { metadata: { name: 'web' }, spec: SPEC };
const vm = (change: Json): unknown => merged(GOOD, change);
const spec = (change: Json): Json => ({ spec: change });
const name = (text: string): Json => ({ metadata: { name: text } });

interface Case {
  readonly before?: Json;
  readonly now: Json;
}

const LOGGING = spec({ placement: { loggingNetwork: 'ft/log' } });
const STORE_ACCESS = { host: 'redis', port: 6379 };
const STORE = spec({ store: { secretName: 'other' } });

const REFUSED: readonly (readonly [Case, RegExp])[] = [
  [{ now: name('x'.repeat(53)) }, /at most 52 characters/],
  ...['1st', 'a.b', 'Web', 'web-', '-web', 'wéb'].map(
    (bad) => [{ now: name(bad) }, /begin with a letter/] as const,
  ),
  ...['host', 'max', 'base', 'host,+avx2', 'max,-avx2', 'base,+avx2'].map(
    (cpuModel) => [{ now: spec({ cpuModel }) }, /EPYC for instance/] as const,
  ),
  [{ before: {}, now: STORE }, /one store for all its life/],
  [{ before: STORE, now: {} }, /one store for all its life/],
  [{ before: STORE, now: spec({ store: { secretName: 'third' } }) }, /one store for all its life/],
  [{ before: {}, now: LOGGING }, /keeps its networks/],
  [{ before: LOGGING, now: {} }, /keeps its networks/],
  [{ before: LOGGING, now: spec({ placement: { loggingNetwork: 'log' } }) }, /keeps its networks/],
  [{ now: spec({ placement: { nodeSelector: { 'kubernetes.io/hostname': 'a' } } }) }, /two nodes/],
  [
    { before: {}, now: spec({ placement: { nodeSelector: { 'kubernetes.io/hostname': 'a' } } }) },
    /two nodes/,
  ],
];

const TAKEN: readonly Case[] = [
  { now: {} },
  { now: name('x'.repeat(52)) },
  { now: name('a') },
  { now: name('web-1') },
  ...['qemu64', 'EPYC,-avx2', 'hostlike', 'Skylake-Server-v5'].map((cpuModel) => ({
    now: spec({ cpuModel }),
  })),
  { now: STORE },
  { before: {}, now: spec({ suspended: true, lag: { boundMs: 500 }, cpuModel: 'qemu64' }) },
  { before: STORE, now: STORE },
  { before: LOGGING, now: spec({ placement: { loggingNetwork: 'ft/log', nodeSelector: { zone: 'a' } } }) },
  { before: {}, now: spec({ placement: { nodeSelector: { zone: 'a' } } }) },
];

const judged = ({ before, now }: Case): Judged[] =>
  judge(SCHEMA, vm(now), before === undefined ? undefined : vm(before));
const refusals = (one: Case): string[] =>
  judged(one)
    .filter((rule) => !rule.holds)
    .map(({ validation }) => validation.message);

describe('what the API server itself refuses of a FaultTolerantVM', () => {
  for (const [one, words] of REFUSED) {
    it(JSON.stringify(one), () => {
      expect(refusals(one)).to.have.length(1);
      expect(refusals(one)[0]).to.match(words);
    });
  }

  for (const one of TAKEN) {
    it(`not ${JSON.stringify(one)}`, () => {
      expect(refusals(one)).to.deep.equal([]);
    });
  }

  it('nothing in numbers: a sidecar takes all that their bounds let through', () => {
    const bounds = (...path: readonly string[]): number[] => {
      const { minimum = NaN, maximum = NaN } = path.reduce((at, key) => at.properties?.[key] ?? {}, SCHEMA);
      return [minimum, maximum];
    };
    for (const timeoutMs of bounds('spec', 'failureDetection', 'timeoutMs')) {
      for (const boundMs of bounds('spec', 'lag', 'boundMs')) {
        const ftvm = sampleFtvm({ spec: { failureDetection: { timeoutMs }, lag: { boundMs } } });
        const { limits } = parseConfig(settingsOf(ftvm, { side: PRIMARY, peer: null, store: STORE_ACCESS }));
        expect(limits).to.include({ deadAfterMs: timeoutMs, lagBoundMs: boundMs });
      }
    }
  });

  it('by rules each of which holds for one of these and not for another', () => {
    const all = rulesBelow(SCHEMA).map(({ rule }) => rule);
    const seen = [...REFUSED.map(([one]) => one), ...TAKEN].flatMap(judged);
    for (const wanted of [true, false]) {
      const met = new Set(
        seen.filter((one) => one.holds === wanted).map(({ validation }) => validation.rule),
      );
      expect(
        all.filter((rule) => !met.has(rule)),
        `never ${wanted}`,
      ).to.deep.equal([]);
    }
    expect(all).to.have.length.above(0);
  });
});
