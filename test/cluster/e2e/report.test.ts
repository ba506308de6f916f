// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { reportText } from './report.js';

describe('report of the tests on a cluster', () => {
  it('tells how many passed, why one failed, and what was measured', () => {
    const text = reportText(
      [
        { title: 'a | b', outcome: 'passed', ms: 1_234 },
        { title: 'c', outcome: 'failed', ms: 10, words: 'no\nanswer' },
        { title: 'd', outcome: 'not played', ms: 0 },
      ],
      [{ what: 'gap', value: 136, unit: 'ms' }],
    );
    expect(text).to.equal(
      [
        '**1 passed, 1 failed, 1 not played.**',
        '',
        '| test | outcome | s |',
        '|---|---|---|',
        '| a \\| b | passed | 1.2 |',
        '| c | failed: no answer | 0.0 |',
        '| d | not played | 0.0 |',
        '',
        '| measured | |',
        '|---|---|',
        '| gap | 136 ms |',
      ].join('\n'),
    );
  });
});
