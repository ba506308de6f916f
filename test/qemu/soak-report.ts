// SPDX-License-Identifier: Apache-2.0
// Minutes of load on a protected pair; fails when a sidecar's memory grows.
//
// usage: node build/test/qemu/soak-report.js [--minutes 10] [--report FILE]
import { parseArgs } from 'node:util';
import { pairLayout } from '../../cli/local/layout.js';
import { DEFAULT_CHOICE } from '../../cli/local/pair.js';
import { replies } from './support/cycle.js';
import { TestPair } from './support/pair.js';
import { appendReport, longRun, qemuVersion, say } from './support/report.js';
import { growth, QUEUE_BOUNDS, queuePeaks, soak, type Growth, type Sample } from './support/soak.js';

const PAIR = 'soakrep';
/** More than this, over the second half of the run, is a leak and not the breathing of a garbage collector. */
const SIDECAR_SLOPE_MAX = 1;
const SAMPLES_A_LINE = 30;

const slopeWords = (one: Growth): string =>
  `${one.who}: ${one.firstMiB.toFixed(0)} -> ${one.lastMiB.toFixed(0)} MiB, ${one.slopeMiBPerMinute.toFixed(2)} MiB a minute`;

function reportText(samples: readonly Sample[], found: number, minutes: number, version: string): string {
  const peaks = queuePeaks(samples);
  const row = (one: Growth) =>
    `| ${one.who} | ${one.firstMiB.toFixed(1)} | ${one.lastMiB.toFixed(1)} | ${one.maxMiB.toFixed(1)} | ${one.slopeMiBPerMinute.toFixed(2)} | ${one.sharedMaxMiB.toFixed(1)} |`;
  return [
    `${version}, ${minutes} minutes, ${samples.length} samples, ${found} increments over one connection, all found.`,
    '',
    '| process | first, MiB | last | most | slope in the second half, MiB/min | shared at most, MiB |',
    '|---|---|---|---|---|---|',
    ...growth(samples).map(row),
    '',
    `First, last, most and slope are of the process's own memory (RssAnon); shared is the ring, which is 64 MiB. QEMU's own memory holds the guest's.`,
    '',
    '| queue | at most | bound |',
    '|---|---|---|',
    `| outputs held by the gate | ${peaks.heldOutputs} | ${QUEUE_BOUNDS.heldOutputs} |`,
    `| bytes of them | ${peaks.heldBytes} | ${QUEUE_BOUNDS.heldBytes} |`,
    `| outputs retained by the backup | ${peaks.retainedOutputs} | ${QUEUE_BOUNDS.retainedOutputs} |`,
    '',
    `Lag at most ${peaks.lagMs.toFixed(0)} ms.`,
  ].join('\n');
}

async function play(pair: TestPair, minutes: number): Promise<{ samples: Sample[]; found: number }> {
  const client = pair.client(0);
  try {
    await pair.protect();
    let count = 0;
    const samples = await soak(pair, minutes * 60_000, async (one) => {
      const { acknowledged } = await replies(client, 1);
      const own = Object.entries(one.memory).map(([who, memory]) => `${who} ${memory.ownMiB.toFixed(0)}`);
      if (count++ % SAMPLES_A_LINE === 0)
        say(`${acknowledged} increments; ${own.join(', ')} MiB; lag ${one.lagMs.toFixed(0)} ms`);
    });
    const { acknowledged, found } = await client.finish();
    if (found !== acknowledged) throw new Error(`${acknowledged} increments acknowledged, ${found} found`);
    return { samples, found };
  } finally {
    client.kill();
  }
}

function requireFlat(samples: readonly Sample[]): void {
  const peaks = queuePeaks(samples);
  for (const [name, bound] of Object.entries(QUEUE_BOUNDS)) {
    const peak = peaks[name as keyof typeof QUEUE_BOUNDS];
    if (peak > bound) throw new Error(`${name}: ${peak}, above its bound ${bound}`);
  }
  const grown = growth(samples).filter(
    ({ who, slopeMiBPerMinute }) => who.endsWith('sidecar') && slopeMiBPerMinute > SIDECAR_SLOPE_MAX,
  );
  if (grown.length > 0) throw new Error(`memory grows: ${grown.map(slopeWords).join('; ')}`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { minutes: { type: 'string', default: '10' }, report: { type: 'string' } },
  });
  const minutes = Number(values.minutes);
  await longRun(pairLayout(PAIR), `npm run test:soak -- --minutes ${minutes}`, async () => {
    const pair = await TestPair.up(PAIR);
    const { samples, found } = await play(pair, minutes);
    const text = reportText(samples, found, minutes, await qemuVersion(DEFAULT_CHOICE.qemuBinary));
    say(text);
    requireFlat(samples);
    if (values.report !== undefined) await appendReport(values.report, text);
  });
}

await main();
