// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { loadAll } from 'js-yaml';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Ftvm } from '../api/ftvm.js';
import { buildService } from '../resources/service.js';
import { buildVmi } from '../resources/vmi.js';
import { PRIMARY, sampleFtvm } from '../test/samples.js';
import { devices, domain, GOOD, isObject, merged, type Json } from './test/manifests.js';
import { valueAt } from './rules/rule.js';
import { MISSHAPEN, REFUSED, SETTINGS_REFUSED, TAKEN } from './test/refused.js';
import {
  migrationObjection,
  objectionsTo,
  pathOf,
  RULES,
  sentenceOf,
  SETTINGS,
  SHAPE,
  type Objection,
} from './validate.js';

/** Of the checkout: this runs as build/operator/webhook/validate.test.js. */
const EXAMPLES = resolve(import.meta.dirname, '../../../examples');

const vmOf = (template: unknown): Ftvm =>
  ({ metadata: { name: 'web' }, spec: { template } }) as unknown as Ftvm;
const changed = (change: Json): Ftvm => vmOf(merged(GOOD, change));
const objections = (ftvm: Ftvm): Objection[] => objectionsTo(ftvm, null);
const said = (ftvm: Ftvm, before: Ftvm | null = null): string => sentenceOf(objectionsTo(ftvm, before));

describe('what is refused at apply', () => {
  for (const change of TAKEN) {
    it(`not ${JSON.stringify(change)}`, () => {
      expect(said(changed(change))).to.equal('');
    });
  }

  for (const [change, field, words] of REFUSED) {
    it(
      JSON.stringify(change, (_key, value: unknown) => value ?? null),
      () => {
        const found = objections(changed(change));
        expect(found.map((one) => one.field)).to.deep.equal([`spec.template.${field}`]);
        expect(found[0]?.sentence).to.match(words);
      },
    );
  }

  for (const [change, field] of MISSHAPEN) {
    it(`what is of another kind: ${JSON.stringify(change)}`, () => {
      const found = objections(changed(change));
      expect(found.map((one) => one.field)).to.deep.equal([`spec.template.${field}`]);
      expect(found[0]?.sentence).to.match(/belongs here|is missing/);
    });
  }

  for (const file of readdirSync(EXAMPLES).filter((name) => name.endsWith('.yaml'))) {
    it(`not examples/${file}`, () => {
      const documents = loadAll(readFileSync(join(EXAMPLES, file), 'utf8')) as Ftvm[];
      const vms = documents.filter(({ spec }) => valueAt(spec, 'template.spec.domain') !== undefined);
      expect(vms).to.have.length.above(0);
      for (const vm of vms) expect(said(vm)).to.equal('');
    });
  }

  it('each rule of each table, by one of these', () => {
    const met = [...REFUSED, ...MISSHAPEN].flatMap(([change]) => objections(changed(change)));
    const known = new Set(met.map(({ field, sentence }) => `${field}: ${sentence}`));
    const unmet = [...SHAPE, ...RULES]
      .map(({ field, sentence }) => `${pathOf(field)}: ${sentence}`)
      .filter((one) => !known.has(one));
    expect(unmet).to.deep.equal([]);
    const settings = new Set(SETTINGS_REFUSED.map(([, field]) => field));
    expect(SETTINGS.filter(({ field }) => !settings.has(field))).to.deep.equal([]);
  });

  it('all that is wrong at once, each with its place', () => {
    expect(objections(changed(devices({ rng: {}, tpm: {} }))).map(({ field }) => field)).to.deep.equal([
      'spec.template.spec.domain.devices.rng',
      'spec.template.spec.domain.devices.tpm',
    ]);
  });

  it('in words, whatever stands anywhere in the template; and what is taken can be built', function () {
    this.timeout(20_000);
    const paths = [...SHAPE, ...RULES].flatMap(({ field }) => {
      const keys = field.split('.');
      return keys.slice(1).map((_key, index) => keys.slice(0, index + 2));
    });
    const put = (root: unknown, [key = '', ...rest]: readonly string[], value: unknown): unknown => {
      const next = rest.length === 0 ? value : put((root as Json | undefined)?.[key], rest, value);
      if (Array.isArray(root)) return root.with(0, next);
      return { ...(isObject(root) ? root : {}), [key]: next };
    };
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue({ maxDepth: 3 }), (path, value) => {
        const template = put(GOOD, path, value);
        if (objections(vmOf(template)).length > 0) return;
        const ftvm = sampleFtvm({ spec: vmOf(template).spec });
        buildVmi(ftvm, PRIMARY);
        buildService(ftvm);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('what is refused of a change', () => {
  const before = changed({});

  it('any of the template, and nothing else', () => {
    const after = changed(domain({ memory: { guest: '512Mi' } }));
    expect(said(after, before)).to.match(/delete the resource and create it anew/);
    expect(said({ ...before, spec: { ...before.spec, suspended: true } }, before)).to.equal('');
  });

  for (const [setting, field, words, taken] of SETTINGS_REFUSED) {
    it(`${JSON.stringify(setting)}, unless it was so before`, () => {
      const withSetting = (one: Json): Ftvm => merged(before, { spec: one }) as Ftvm;
      const [bad, good] = [withSetting(setting), withSetting(taken)];
      for (const was of [null, before, good]) {
        expect(objectionsTo(bad, was).map((one) => one.field)).to.deep.equal([`spec.${field}`]);
        expect(said(bad, was)).to.match(words);
      }
      expect(said(bad, bad)).to.equal('');
      expect(said(good, bad)).to.equal('');
    });
  }

  it('not another order of what is there', () => {
    const { domain: machine, networks } = GOOD.spec;
    const { metadata } = GOOD;
    expect(said(vmOf({ spec: { networks, domain: machine }, metadata }), before)).to.equal('');
  });

  it('not a VM that an older release has taken: it runs', () => {
    const old = changed(devices({ tpm: {} }));
    expect(said({ ...old, spec: { ...old.spec, suspended: true } }, old)).to.equal('');
  });

  it('nothing of a VM that is being deleted: its finalizer must come off', () => {
    const after = changed(domain({ memory: { guest: '512Mi' } }));
    const deleted = { ...after, metadata: { ...after.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
    expect(said(deleted, before)).to.equal('');
  });

  it('a migration of a side', () => {
    expect(sentenceOf([migrationObjection('web-12ab')])).to.match(/web-12ab.*drain its node/);
  });
});
