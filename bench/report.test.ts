// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { misses, reportJson, reportText, verdict, type Report, type Row } from './report.js';

const row = (more: Partial<Row>): Row => ({ what: 'gap', unit: 'ms', values: [40, 90, 350], ...more });

const REPORT: Report = {
  at: '2026-01-02T03:04:05.000Z',
  revision: 'abc1234',
  quick: false,
  machine: { cpu: 'Some CPU', cores: 2, kernel: '6.1.0', qemu: '10.0.2', node: '20.19.0' },
  sections: [
    {
      name: 'kill',
      title: 'Gap at SIGKILL',
      rows: [
        row({ what: 'longest wait', aim: { median: 100, worst: 300 } }),
        row({ what: 'of it: detection', values: [12.34] }),
        row({ what: 'requests', unit: '1/s', values: [800, 1000], bad: 'low' }),
        row({ what: 'never seen', values: [], aim: { median: 5 } }),
      ],
      notes: ['one note'],
    },
  ],
};

const TABLE = `
lockstep bench, 2026-01-02T03:04:05.000Z, revision abc1234
2 x Some CPU, Linux 6.1.0, QEMU 10.0.2 (TCG), Node 20.19.0

Gap at SIGKILL
                  MEDIAN  WORST  UNIT  N  AIM
longest wait      90.0    350    ms    3  median <= 100, worst <= 300 ms  MISSED: worst by 50.0 ms
of it: detection  12.3           ms    1
requests          900     800    1/s   2
never seen        -       -      ms    0  median <= 5 ms                  NOT MEASURED
  * one note
`.trim();

describe('bench report', () => {
  it('is this table', () => {
    expect(reportText(REPORT)).to.equal(TABLE);
  });

  it('says when a quick run made it', () => {
    expect(reportText({ ...REPORT, quick: true })).to.contain('quick (few repeats)');
  });

  it('judges medians and worst values apart', () => {
    expect(misses(row({ aim: { median: 100 } }))).to.deep.equal([]);
    expect(misses(row({ aim: { median: 80, worst: 300 } }))).to.deep.equal([
      { of: 'median', by: 10 },
      { of: 'worst', by: 50 },
    ]);
    expect(verdict(row({ aim: { worst: 350 } }))).to.equal('met');
    expect(verdict(row({}))).to.equal('');
  });

  it('gives programs the values, the summary and the verdict', () => {
    const { sections } = JSON.parse(reportJson(REPORT)) as {
      sections: { rows: Record<string, unknown>[] }[];
    };
    const [gap, part, , unseen] = sections[0]?.rows ?? [];
    expect(gap).to.include({ median: 90, worst: 350, n: 3, met: false });
    expect(gap?.['values']).to.deep.equal([40, 90, 350]);
    expect(part?.['met']).to.equal(null);
    expect(unseen).to.include({ n: 0, median: null, met: null });
  });
});
