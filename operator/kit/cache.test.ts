// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { ObjectCache, type CacheChange } from './cache.js';
import { keyOf, type KubeObject, type Stored } from './object.js';

const object = (name: string, uid: string, version: string): Stored => ({
  metadata: { name, uid: `${name}-${uid}`, resourceVersion: version },
});

const words = (changes: readonly CacheChange<KubeObject>[]): string[] =>
  changes.map((change) => {
    const { metadata } = change.type === 'delete' ? change.last : change.object;
    return `${change.type} ${metadata.uid}@${metadata.resourceVersion}`;
  });

describe('ObjectCache', function () {
  this.timeout(60_000);

  it('tells what is new, changed and gone', () => {
    const cache = new ObjectCache();
    expect(words(cache.upsert(object('a', '1', 'x')))).to.deep.equal(['add a-1@x']);
    expect(words(cache.upsert(object('a', '1', 'x')))).to.deep.equal([]);
    expect(words(cache.upsert(object('a', '1', 'y')))).to.deep.equal(['update a-1@y']);
    expect(words(cache.remove(object('a', '1', 'z')))).to.deep.equal(['delete a-1@z']);
    expect(words(cache.remove(object('a', '1', 'z')))).to.deep.equal([]);
  });

  it('another object by the same name is one that went and one that came', () => {
    const cache = new ObjectCache();
    cache.upsert(object('a', '1', 'x'));
    expect(words(cache.upsert(object('a', '2', 'y')))).to.deep.equal(['delete a-1@x', 'add a-2@y']);
    expect(cache.byUid('a-1')).to.equal(undefined);
    expect(words(cache.remove(object('a', '1', 'x')))).to.deep.equal([]);
    expect(cache.get('a')?.metadata.uid).to.equal('a-2');
  });

  it('a new list tells what vanished while nobody looked, with its last known form', () => {
    const cache = new ObjectCache();
    for (const name of ['a', 'b', 'c']) cache.upsert(object(name, '1', 'x'));
    const changes = cache.replace([object('a', '1', 'x'), object('b', '2', 'y'), object('d', '1', 'x')]);
    expect(words(changes)).to.deep.equal(['delete b-1@x', 'delete c-1@x', 'add b-2@y', 'add d-1@x']);
  });

  it('what it tells adds up to what it has, for any history', () => {
    const one = fc
      .tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2'), fc.constantFrom('x', 'y', 'z'))
      .map(([name, uid, version]) => object(name, uid, version));
    const list = fc.uniqueArray(one, { selector: keyOf });
    const step = fc.oneof(
      fc.record({ act: fc.constantFrom('upsert' as const, 'remove' as const), one }),
      fc.record({ act: fc.constant('replace' as const), list }),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const cache = new ObjectCache();
        const told = new Map<string, Stored>();
        for (const it of steps) {
          const changes = it.act === 'replace' ? cache.replace(it.list) : cache[it.act](it.one);
          for (const change of changes) {
            const subject = change.type === 'delete' ? change.last : change.object;
            expect(told.has(subject.metadata.uid)).to.equal(change.type !== 'add');
            if (change.type === 'delete') told.delete(subject.metadata.uid);
            else told.set(subject.metadata.uid, subject);
          }
          expect([...told.values()]).to.have.deep.members([...cache.list()]);
          if (it.act === 'replace') expect(cache.list()).to.have.lengthOf(it.list.length);
        }
      }),
    );
  });
});
