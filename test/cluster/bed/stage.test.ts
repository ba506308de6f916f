// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { folderStage } from './folder-stage.js';
import { otherImagesOf, othersOf } from './leftovers.js';
import { earlierTags } from './product.js';
import { ensure, fileInputs, stageKey } from './stage.js';

describe('a stage of the test cluster', () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'bed-'))));
  afterEach(() => rm(folder, { recursive: true }));

  it('has the same key for the same inputs, in whatever order', () => {
    const inputs = fc.dictionary(fc.string(), fc.string());
    fc.assert(
      fc.property(inputs, (some) => {
        const reversed = Object.fromEntries(Object.entries(some).reverse());
        expect(stageKey(reversed)).to.equal(stageKey(some));
      }),
    );
  });

  it('has another key when any input is another, or is called otherwise', () => {
    const inputs = fc.dictionary(fc.string(), fc.string(), { minKeys: 1 });
    fc.assert(
      fc.property(inputs, fc.string({ minLength: 1 }), (some, more) => {
        const [name = '', value = ''] = Object.entries(some)[0] ?? [];
        expect(stageKey({ ...some, [name]: value + more })).to.not.equal(stageKey(some));
        const rest = Object.entries(some).filter(([other]) => other !== name);
        expect(stageKey(Object.fromEntries(rest))).to.not.equal(stageKey(some));
      }),
    );
  });

  it('tells two inputs from one that reads like both', () => {
    expect(stageKey({ a: '1\n1:b=1:2' })).to.not.equal(stageKey({ a: '1', b: '2' }));
  });

  it('takes files by their place and content, wherever the checkout is', async () => {
    const [one, two] = [join(folder, 'one'), join(folder, 'two')];
    for (const root of [one, two]) {
      await mkdir(join(root, 'go/x'), { recursive: true });
      await writeFile(join(root, 'go/x/go.mod'), 'module x\n');
      await writeFile(join(root, 'Dockerfile'), 'FROM scratch\n');
    }
    const places = ['go', 'Dockerfile'];
    expect(Object.keys(await fileInputs(one, places)).sort()).to.deep.equal(['Dockerfile', 'go/x/go.mod']);
    expect(await fileInputs(one, places)).to.deep.equal(await fileInputs(two, places));
    await writeFile(join(two, 'go/x/go.mod'), 'module y\n');
    expect(await fileInputs(one, places)).to.not.deep.equal(await fileInputs(two, places));
  });

  it('is made once, and of the folders before it the newest stays', async () => {
    let made = 0;
    const stage = (version: string) =>
      folderStage('thing', 'a moment', folder, { version }, async (part) => {
        made += 1;
        await writeFile(join(part, 'product'), version);
      });
    expect(await ensure(stage('1'))).to.equal(true);
    expect(await ensure(stage('1'))).to.equal(false);
    await utimes(stage('1').folder, 1, 1);
    expect(await ensure(stage('2'))).to.equal(true);
    expect(await ensure(stage('3'))).to.equal(true);
    expect(made).to.equal(3);
    const left = ['2', '3'].map((version) => `thing-${stage(version).key}`);
    expect(await readdir(folder)).to.have.members(left);
  });

  it('that failed half-way is not there, and is made anew', async () => {
    let fails = true;
    const stage = folderStage('thing', 'a moment', folder, {}, async (part) => {
      await writeFile(join(part, 'half'), '');
      if (fails) throw new Error('no more disk');
      await rm(join(part, 'half'), { force: true });
    });
    const failure = await ensure(stage).catch((error: unknown) => error);
    expect(failure).to.be.an('error').with.property('message', 'no more disk');
    expect(await stage.isThere()).to.equal(false);
    fails = false;
    await ensure(stage);
    expect(await readdir(folder)).to.deep.equal([`thing-${stage.key}`]);
  });

  it('leaves the folders of stages with a longer name alone', () => {
    const key = '0123456789ab';
    const entries = [
      `etcd-${key}`,
      'etcd-aaaaaaaaaaaa',
      'etcd-bbbbbbbbbbbb.part',
      'etcd-more-aaaaaaaaaaaa',
      'log',
    ];
    expect(othersOf(entries, 'etcd', key)).to.deep.equal(['etcd-aaaaaaaaaaaa', 'etcd-bbbbbbbbbbbb.part']);
  });

  it('takes away images of earlier keys, and no public name of its own', () => {
    const repository = 'localhost/lockstep-bed/debian';
    const listed = `${repository}:new\ndocker.io/library/debian:bookworm-slim\n${repository}:old\n`;
    expect(otherImagesOf(listed, 'debian', 'new')).to.deep.equal([`${repository}:old`]);
  });

  it('takes away tags of the product’s earlier builds', () => {
    const listed = ['operator:dev', 'operator:old', 'operator:new', 'sidecar:old', 'operator-of-others:old'];
    const names = listed.map((name) => `localhost/lockstep/${name}`).join('\n');
    expect(earlierTags(names, 'operator', 'localhost/lockstep/operator:new')).to.deep.equal([
      'localhost/lockstep/operator:old',
    ]);
  });
});
