// SPDX-License-Identifier: Apache-2.0
// Many kills at the sight of a reply. With LOCKSTEP_MARKER=0 in the environment every QEMU leaves the log's output
// markers out.
//
// usage: node build/test/qemu/output-rule-report.js [--kills 100] [--minutes N] [--seed N] [--report FILE]
// With --minutes it ends then, with the kills that it came to.
import { parseArgs } from 'node:util';
import { pairLayout } from '../../cli/local/layout.js';
import { DEFAULT_CHOICE } from '../../cli/local/pair.js';
import { Prng } from '../sim/prng.js';
import { killAtReply, REPLIES_MAX, type Kill } from './support/output-rule.js';
import { TestPair } from './support/pair.js';
import { appendReport, longRun, median, qemuVersion, say } from './support/report.js';
import { Witness } from './support/witness.js';

const PAIR = 'outrulerep';
/** The spare host of three takes the next backup at once, while the dead one boots. */
const HOSTS = 3;

interface Options {
  readonly kills: number;
  readonly minutes: number;
  readonly seed: number;
  readonly report: string | undefined;
}

function options(): Options {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '100' },
      minutes: { type: 'string', default: '1440' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      report: { type: 'string' },
    },
  });
  const { kills, minutes, seed, report } = values;
  return { kills: Number(kills), minutes: Number(minutes), seed: Number(seed), report };
}

const line = (n: number, kill: Kill): string =>
  `kill ${n}: at reply ${kill.after}, note ${kill.seen}; ${kill.notes} notes stand; silence ${kill.worstMs.toFixed(0)} ms; ` +
  `${kill.points.marked} of ${kill.points.bottomHalves} output points marked`;

async function play(pair: TestPair, { kills: count, minutes, seed }: Options): Promise<Kill[]> {
  const random = new Prng(seed);
  const until = performance.now() + minutes * 60_000;
  const witness = new Witness(pair.pair.layout);
  const kills: Kill[] = [];
  try {
    await pair.protect();
    while (kills.length < count && performance.now() < until) {
      const kill = await killAtReply(pair, witness, random);
      kills.push(kill);
      say(line(kills.length, kill));
    }
    return kills;
  } finally {
    witness.end();
  }
}

function reportText(kills: readonly Kill[], seed: number, version: string): string {
  const silences = kills.map((kill) => kill.worstMs);
  const sum = (pick: (kill: Kill) => number) => kills.reduce((total, kill) => total + pick(kill), 0);
  const marker =
    process.env['LOCKSTEP_MARKER'] === '0' ? '**without** the output marker' : 'with the output marker';
  return [
    `${version}, ${marker}, seed ${seed}: **${kills.length} kills, no contradiction**, over one TCP connection.`,
    '',
    `- each at a random reply among ${REPLIES_MAX} after protection, six requests under way; ${kills.at(-1)?.notes ?? 0} notes in all`,
    `- longest silence at a kill: median ${median(silences).toFixed(0)} ms, worst ${Math.max(...silences).toFixed(0)} ms`,
    `- output points in the logs: ${sum((kill) => kill.points.bottomHalves)}; markers written behind them: ${sum((kill) => kill.points.marked)}`,
  ].join('\n');
}

async function main(): Promise<void> {
  const asked = options();
  const { kills, seed, report } = asked;
  const rerun = `npm run test:output-rule -- --kills ${kills} --seed ${seed}`;
  await longRun(pairLayout(PAIR, HOSTS), rerun, async () => {
    const pair = await TestPair.up(PAIR, { hosts: HOSTS });
    const done = await play(pair, asked);
    const text = reportText(done, seed, await qemuVersion(DEFAULT_CHOICE.qemuBinary));
    say(text);
    if (report !== undefined) await appendReport(report, text);
  });
}

await main();
