// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { load as loadYaml } from 'js-yaml';
import { z } from 'zod';
import { STAGES, vmiStatusSchema, type Epitaph, type VmiStatus } from '../sidecar/observe/status-schema.js';
import type { FtvmStatus } from './api/ftvm.js';
import { readCrd } from './api/generate.js';
import { decideVm } from './decide.js';
import { changesOf, eventOf } from './events.js';
import { PHASE_KINDS } from './mind/sides.js';
import type { LeaseView, Observation, RawSide } from './observe.js';
import { cutToBytes, nonceSaid, sentenceSaid, wholeSaid, wordSaid } from './said.js';
import { sameStatus, statusOf } from './status.js';
import { BACKUP, PRIMARY, RECORD, sampleFtvm, sampleSide } from './test/samples.js';

const NOW = new Date('2030-01-01T00:00:07.890Z');
const REASON = /^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/;

describe('what others say', () => {
  it('is a reason only if it is one plain word', () => {
    const words = ['-', '', 'two words', 'constructor', '__proto__', 'a-b', 'ends_', 'é', 'x'.repeat(101)];
    expect(words.map((word) => wordSaid(word, 'Otherwise'))).to.deep.equal([
      'Otherwise',
      'Otherwise',
      'Otherwise',
      'constructor',
      'Otherwise',
      'Otherwise',
      'Otherwise',
      'Otherwise',
      'Otherwise',
    ]);
    expect(wordSaid(undefined, 'Otherwise')).to.equal('Otherwise');
    expect(wordSaid('LOCKSTEP_STORE_SECRET', 'Otherwise')).to.equal('LOCKSTEP_STORE_SECRET');
  });

  it('is cut where it is too long, and never within a character', () => {
    expect(sentenceSaid('short')).to.equal('short');
    expect(sentenceSaid('x'.repeat(2_000))).to.have.length(1_001);
    expect(sentenceSaid('\ud800 alone')).to.equal('\ufffd alone');
    expect(cutToBytes('aé😀', 7)).to.equal('aé😀');
    expect([6, 5, 4, 3, 2, 1, 0].map((bytes) => cutToBytes('aé😀', bytes))).to.deep.equal([
      'aé',
      'aé',
      'aé',
      'aé',
      'a',
      'a',
      '',
    ]);
  });

  it('is a number or a nonce only if it can be one', () => {
    expect([1, 0, -0.2, 1.4].map(wholeSaid)).to.deep.equal([1, 0, 0, 1]);
    expect([-1, 1e300, Number.NaN].map(wholeSaid)).to.deep.equal([null, null, null]);
    expect(['a', null, '', 'x'.repeat(129), '\udc00'].map(nonceSaid)).to.deep.equal([
      'a',
      null,
      null,
      null,
      null,
    ]);
  });
});

// -- everything that a sidecar can say --

/** Words that somebody could take for their own, and any other text. */
const text = fc.oneof(
  fc.constantFrom(
    '-',
    '',
    'Disabled',
    'Starting',
    'constructor',
    '__proto__',
    'toString',
    'A',
    'B',
    'a b',
    '\ud83d',
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('x'.repeat(100_000), '😀'.repeat(3_000)),
);
const number = fc.oneof(
  fc.integer({ min: -2, max: 5 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(-0, 0.5, 1e300, 2 ** 53),
);
const optional = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(one, { nil: null });

const protection = fc.record(
  { word: fc.constantFrom('Protected' as const, 'Not Protected' as const), state: text, reason: text },
  { requiredKeys: ['word'] },
);
const trouble = fc.record({ reason: text, message: text });
const said: fc.Arbitrary<VmiStatus> = fc.record(
  {
    vm: text,
    vmi: text,
    host: text,
    role: fc.constantFrom('primary' as const, 'backup' as const, 'ended' as const),
    phase: fc.constantFrom(...(Object.keys(PHASE_KINDS) as VmiStatus['phase'][])),
    epoch: number,
    nonce: optional(text),
    peer: optional(text),
    stage: fc.constantFrom(...STAGES),
    trouble: optional(trouble),
    protection,
    lease: optional(text),
    numbers: optional(fc.record({ lagMs: number, heldOutputs: number, pacePermille: number })),
    lastFailover: optional(fc.record({ at: text, goLiveMs: number })),
    certificate: fc.record({ notAfter: text, trouble: optional(text) }),
  },
  {
    requiredKeys: [
      'vm',
      'vmi',
      'host',
      'role',
      'phase',
      'epoch',
      'nonce',
      'peer',
      'stage',
      'trouble',
      'protection',
      'lease',
      'numbers',
      'certificate',
    ],
  },
);
const lastWord: fc.Arbitrary<string> = fc.oneof(
  text,
  fc
    .record({ reason: text, detail: text, nonce: optional(text), epoch: number })
    .map((epitaph: Epitaph) => JSON.stringify(epitaph)),
);

const side = (of: RawSide['side']): fc.Arbitrary<RawSide> =>
  fc
    .record({
      status: optional(said),
      ended: optional(lastWord),
      nodeReady: fc.boolean(),
      waiting: optional(text),
    })
    .map(({ status, ended, nodeReady, waiting }) => {
      const sample = sampleSide(of, { status, nodeReady });
      const state = {
        ...(ended === null ? {} : { terminated: { exitCode: 1, message: ended } }),
        ...(waiting === null ? {} : { waiting: { reason: waiting, message: waiting } }),
      };
      const containerStatuses = [{ name: 'lockstep', state }];
      const pod =
        sample.pod === null ? null : { ...sample.pod, status: { ...sample.pod.status, containerStatuses } };
      return { ...sample, pod };
    });

const lease: fc.Arbitrary<LeaseView> = fc.oneof(
  fc.constant<LeaseView>({ kind: 'present', record: RECORD }),
  fc.constant<LeaseView>({ kind: 'missing' }),
  text.map((reason): LeaseView => ({ kind: 'unknown', reason })),
  text.map((reason): LeaseView => ({ kind: 'noStore', reason, key: 'lockstep:{db}' })),
);
const failure = fc.oneof(
  fc.constant(null),
  fc
    .record({ code: fc.oneof(text, fc.integer()), message: text })
    .map(({ code, message }) => Object.assign(new Error(message), { code })),
);
const world = fc.record({
  sides: fc.tuple(side(PRIMARY), side(BACKUP)),
  lease,
  failure,
  deleted: fc.boolean(),
  suspended: fc.boolean(),
});

/** A structural schema, with what it does not name refused. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const entries = Object.entries(schema).filter(([key]) => !/^x-kubernetes|^format$|^description$/.test(key));
  const inner = Object.fromEntries(entries.map(([key, value]) => [key, closed(value)]));
  return 'properties' in inner && inner['type'] === 'object'
    ? { ...inner, additionalProperties: false }
    : inner;
}

interface Crd {
  readonly spec: {
    readonly versions: readonly {
      readonly schema: { readonly openAPIV3Schema: { readonly properties: { readonly status: object } } };
    }[];
  };
}

function statusSchema(): z.ZodType {
  const [version] = (loadYaml(readCrd()) as Crd).spec.versions;
  return z.fromJSONSchema(
    closed(version?.schema.openAPIV3Schema.properties.status) as z.core.JSONSchema.JSONSchema,
  );
}

const textsOf = (value: unknown): string[] => {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : [];
};

describe('a status', function () {
  this.timeout(60_000);

  it('is one that the API takes and gives back as it is, whatever a sidecar says', () => {
    const schema = statusSchema();
    expect(schema.safeParse({ status: 'Nonsense' }).success, 'the schema refuses').to.equal(false);
    fc.assert(
      fc.property(world, ({ sides, lease: view, failure: failed, deleted, suspended }) => {
        for (const { status } of sides) if (status !== null) vmiStatusSchema.parse(status);
        const metadata = deleted ? { deletionTimestamp: '2030-01-01T00:00:00Z' } : {};
        const ftvm = sampleFtvm({ metadata, spec: { suspended } });
        const observation: Observation = { ftvm, sides, secrets: [], lease: view, now: NOW };
        const status = statusOf(observation, decideVm(observation, 'db-0009'), failed);
        const onTheWire = JSON.parse(JSON.stringify(status)) as FtvmStatus;
        expect(schema.safeParse(onTheWire).error?.issues ?? []).to.deep.equal([]);
        for (const { reason } of status.conditions ?? []) expect(reason).to.match(REASON);
        for (const one of textsOf(status)) expect(Buffer.from(one).toString()).to.equal(one);
        expect(JSON.stringify(status).length).to.be.below(64 * 1024);
        expect(sameStatus(onTheWire, status)).to.equal(true);
        const read = sampleFtvm({ metadata, spec: { suspended }, status: onTheWire });
        const again = { ...observation, ftvm: read };
        statusOf(again, decideVm(again, 'db-000a'), failed);
      }),
      { numRuns: 200 },
    );
  });

  it('makes events that the API takes', () => {
    fc.assert(
      fc.property(world, ({ sides, lease: view, failure: failed }) => {
        const ftvm = sampleFtvm();
        const observation: Observation = { ftvm, sides, secrets: [], lease: view, now: NOW };
        const status = statusOf(observation, decideVm(observation, 'db-0009'), failed);
        for (const told of changesOf({}, status)) {
          const event = eventOf(ftvm, told, NOW) as unknown as { reason: string; note: string };
          expect(event.reason.length).to.be.within(1, 128);
          expect(Buffer.byteLength(event.note)).to.be.at.most(1_024);
        }
      }),
      { numRuns: 100 },
    );
  });
});
