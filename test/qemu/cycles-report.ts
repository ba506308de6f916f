// SPDX-License-Identifier: Apache-2.0
// Many failover cycles in a row, and a line about each.
//
// usage: node build/test/qemu/cycles-report.js [--cycles 50] [--qemu PROGRAM] [--report FILE]
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { pairLayout } from '../../cli/local/layout.js';
import { takeDown, DEFAULT_CHOICE } from '../../cli/local/pair.js';
import { failoverCycle, replies, type Cycle } from './support/cycle.js';
import { leftoversOf } from './support/leftovers.js';
import { TestPair } from './support/pair.js';
import { appendReport, longRun, median, qemuVersion, say } from './support/report.js';

const PAIR = 'cyclesrep';

function options(): { cycles: number; qemu: string; report: string | undefined } {
  const { values } = parseArgs({
    options: {
      cycles: { type: 'string', default: '50' },
      qemu: { type: 'string', default: DEFAULT_CHOICE.qemuBinary },
      report: { type: 'string' },
    },
  });
  const qemu = values.qemu.includes('/') ? resolve(values.qemu) : values.qemu;
  return { cycles: Number(values.cycles), qemu, report: values.report };
}

const line = (n: number, cycle: Cycle): string =>
  `cycle ${n}: ${cycle.from} -> ${cycle.to}, epoch ${cycle.epoch}, live after ${cycle.takeOverMs.toFixed(0)} ms, ` +
  `protected again after ${cycle.protectMs.toFixed(0)} ms, longest wait ${cycle.worstWaitMs.toFixed(0)} ms, ` +
  `console ${cycle.sharedBytes} bytes equal, ${cycle.acknowledged} increments` +
  cycle.troubles.map((trouble) => `\n  ${trouble}`).join('');

interface Outcome {
  readonly cycles: readonly Cycle[];
  readonly acknowledged: number;
  readonly found: number;
}

async function play(pair: TestPair, count: number): Promise<Outcome> {
  const client = pair.client();
  const cycles: Cycle[] = [];
  try {
    await replies(client, 100);
    await pair.protect();
    for (let n = 1; n <= count; n++) {
      const cycle = await failoverCycle(pair, client);
      cycles.push(cycle);
      say(line(n, cycle));
    }
    return { cycles, ...(await client.finish()) };
  } finally {
    client.kill();
  }
}

function reportText(outcome: Outcome, version: string, tookS: number): string {
  const { cycles, acknowledged, found } = outcome;
  const of = (pick: (cycle: Cycle) => number) => {
    const values = cycles.map(pick);
    return `${median(values).toFixed(0)} / ${Math.max(...values).toFixed(0)}`;
  };
  const repeated = cycles.filter((cycle) => cycle.troubles.length > 0).length;
  const bytes = cycles.reduce((sum, cycle) => sum + cycle.sharedBytes, 0);
  return [
    `${version}: **${cycles.length} of ${cycles.length} cycles good** in ${tookS.toFixed(0)} s, over one TCP connection.`,
    '',
    '| | median / worst |',
    '|---|---|',
    `| longest wait of the client in a cycle, ms | ${of((cycle) => cycle.worstWaitMs)} |`,
    `| power cut to live (seen by polling), ms | ${of((cycle) => cycle.takeOverMs)} |`,
    `| order of a new backup to protected, ms | ${of((cycle) => cycle.protectMs)} |`,
    '',
    `${acknowledged} increments acknowledged, ${found} found. ${bytes} bytes of console compared bit by bit, none ` +
      'different. ' +
      `In ${repeated} cycles a clone had to be repeated. Nothing was left on the machine.`,
  ].join('\n');
}

async function main(): Promise<void> {
  const { cycles, qemu, report } = options();
  const layout = pairLayout(PAIR);
  const startedAt = performance.now();
  await longRun(layout, `npm run test:cycles -- --cycles ${cycles} --qemu ${qemu}`, async () => {
    const pair = await TestPair.up(PAIR, { qemuBinary: qemu });
    const outcome = await play(pair, cycles);
    if (outcome.found !== outcome.acknowledged) {
      throw new Error(`${outcome.acknowledged} increments acknowledged, ${outcome.found} found`);
    }
    await takeDown(layout);
    const left = await leftoversOf(layout);
    if (left.length > 0) throw new Error(`left on this machine: ${left.join('; ')}`);
    const text = reportText(outcome, await qemuVersion(qemu), (performance.now() - startedAt) / 1000);
    say(text);
    if (report !== undefined) await appendReport(report, text);
  });
}

await main();
