// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { bytesOf } from './quantity.js';

describe('quantities', () => {
  for (const [text, bytes] of [
    ['256Mi', 256 * 1024 ** 2],
    ['1Gi', 1024 ** 3],
    ['1.5Gi', 1.5 * 1024 ** 3],
    ['1000', 1000],
    ['1M', 1e6],
    ['2Ki', 2048],
  ] as const) {
    it(text, () => {
      expect(bytesOf(text)).to.equal(bytes);
    });
  }
  it('are not what is none', () => {
    for (const text of ['', 'x', '1Zi', '-1Mi', undefined]) expect(bytesOf(text)).to.be.NaN;
  });
});
