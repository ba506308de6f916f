// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { REPO } from '../cli/local/layout.js';
import { CHART, one, parse, render, type Helm } from './test/render.js';
import { chartTools } from './test/tools.js';

const TOOLS_MS_MAX = 10 * 60_000;

describe('chart: definitions', function () {
  this.timeout(60_000);
  let helm: Helm;

  before(async function () {
    this.timeout(TOOLS_MS_MAX);
    helm = { program: (await chartTools()).helm };
  });

  it('installs the definitions that the repository has, and keeps them when it goes', async () => {
    const objects = await render(helm);
    const files = await readdir(join(REPO, 'crds'));
    expect(files).to.not.be.empty;
    for (const file of files) {
      const source = await readFile(join(REPO, 'crds', file), 'utf8');
      const copy = await readFile(join(CHART, 'files/crds', file), 'utf8');
      expect(copy, `cp crds/${file} helm/files/crds/`).to.equal(source);
      for (const { metadata, ...definition } of parse(source)) {
        const rendered = one(objects, 'CustomResourceDefinition', metadata.name);
        expect(rendered.metadata.annotations).to.include({ 'helm.sh/resource-policy': 'keep' });
        expect({ ...rendered, metadata: null }).to.deep.equal({ ...definition, metadata: null });
      }
    }
    expect(await readdir(join(CHART, 'files/crds'))).to.have.members(files);
    const without = await render(helm, ['--set', 'crds.install=false']);
    expect(without.map(({ kind }) => kind)).to.not.include('CustomResourceDefinition');
  });
});
