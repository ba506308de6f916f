// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { AddressError, keyOf, listPath, objectPath, refOf } from './object.js';
import { again } from './outcome.js';
import { NODES, PODS, WIDGETS } from './test/resources.js';

describe('addresses', () => {
  it('are those of the API', () => {
    expect(listPath(PODS)).to.equal('/api/v1/pods');
    expect(listPath(WIDGETS, 'ns')).to.equal('/apis/kit.test/v1/namespaces/ns/widgets');
    expect(objectPath(NODES, { name: 'n' })).to.equal('/api/v1/nodes/n');
    expect(objectPath(PODS, { namespace: 'ns', name: 'p' }, 'status')).to.equal(
      '/api/v1/namespaces/ns/pods/p/status',
    );
  });

  it('never lead elsewhere, whatever a name holds', () => {
    expect(objectPath(NODES, { name: 'a/../b?x=y' })).to.equal('/api/v1/nodes/a%2F..%2Fb%3Fx%3Dy');
    for (const name of ['', '.', '..']) expect(() => objectPath(NODES, { name })).to.throw(AddressError);
  });

  it('keys go both ways', () => {
    const name = fc.stringMatching(/^[a-z0-9.-]{1,20}$/);
    fc.assert(
      fc.property(name, fc.option(name, { nil: undefined }), (object, namespace) => {
        const ref = namespace === undefined ? { name: object } : { name: object, namespace };
        expect(refOf(keyOf({ metadata: ref }))).to.deep.equal(ref);
      }),
    );
  });
});

describe('again', () => {
  it('wants a time that can be waited for', () => {
    expect(again(5, 'Soon')).to.deep.equal({ kind: 'again', afterMs: 5, reason: 'Soon' });
    for (const ms of [-1, Number.NaN, Infinity])
      expect(() => again(ms, 'Never')).to.throw(RangeError, /finite/);
  });
});
