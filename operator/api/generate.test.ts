// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { pageWith, PLACES, readCrd, tableOf, typesOf } from './generate.js';

const there = (file: string): string => readFileSync(file, 'utf8');
const CURE = 'run npm run generate';

describe('what is made from the CustomResourceDefinition', function () {
  this.timeout(20_000);

  it('the types are in step with it', async () => {
    expect(there(PLACES.types), CURE).to.equal(await typesOf(readCrd()));
  });

  it('the page is in step with it', () => {
    const page = there(PLACES.page);
    expect(page, CURE).to.equal(pageWith(page, readCrd()));
  });

  it("the chart's copy is in step with it", () => {
    expect(there(PLACES.chart), CURE).to.equal(readCrd());
  });

  it('each field says what it means', () => {
    const silent = tableOf(readCrd())
      .split('\n')
      .filter((row) => row.endsWith('|  |'));
    expect(silent).to.deep.equal([]);
  });

  it('is small enough for kubectl apply, which keeps a copy in an annotation', () => {
    expect(Buffer.byteLength(readCrd())).to.be.lessThan(256 * 1024);
  });
});
