// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { RestApi } from '../rest.js';
import { describeApiContract } from './api-contract.js';
import { FakeApi } from './fake-api.js';
import { fieldSelector, labelSelector } from './fake-selector.js';

let server: FakeApi;
let api: RestApi;

before(async () => {
  server = await FakeApi.start();
  api = new RestApi(server.kubeConfig());
});

after(async () => {
  api.close();
  await server.close();
});

describeApiContract('the stand-in', () => ({ api, namespace: 'contract' }));

describe('selectors of the stand-in', () => {
  const object = { metadata: { name: 'n', labels: { a: '1', b: '2' } }, spec: { nodeName: 'x' } };

  for (const [text, expected] of [
    ['', true],
    ['a=1,b==2', true],
    ['a=1,b!=2', false],
    ['a', true],
    ['!a', false],
    ['!c,a', true],
    ['a in (1,3),b', true],
    ['a notin (1, 3)', false],
    ['c notin (1)', true],
  ] as const)
    it(`labels '${text}': ${expected}`, () => {
      expect(labelSelector(text)(object)).to.equal(expected);
    });

  for (const [text, expected] of [
    ['metadata.name=n', true],
    ['spec.nodeName!=x', false],
    ['metadata.name==n,status.phase=', true],
  ] as const)
    it(`fields '${text}': ${expected}`, () => {
      expect(fieldSelector(text)(object)).to.equal(expected);
    });

  it('refuse what they do not know', () => {
    expect(() => labelSelector('a>1')).to.throw(/not understood/);
    expect(() => fieldSelector('x')).to.throw(/not understood/);
  });
});
