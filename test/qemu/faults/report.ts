// SPDX-License-Identifier: Apache-2.0
// The page that tells what came out.
import { cpus, release } from 'node:os';
import type { Outcome } from './outcomes.js';
import { STATE_WORDS, titleOf, type Row } from './row.js';
import { ROW_FILES } from './rows.js';

const HEAD = `# Fault matrix

What was done to a pair of real processes (QEMU, sidecars, agents, Redis; hosts are network and pid namespaces), and what
came out. The matrix itself, and why, is in [protocol.md](protocol.md); the same faults, and many more in every order, run
in the simulator (\`npm run sim\`).

In every row one client counts over one TCP connection (\`INCR\`, the next one after the reply to the last), and breaks the
row when a reply is not the one that is due. Every packet that a sidecar puts on its host's tap is captured: after the guest has
moved to another host, no packet of the old one may leave, unless it equals one that the new one has sent (late on its
way; counted below as late copies). A row ends when everything is healed and the pair is protected again.

`;

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

function line(row: Row, file: string, outcomes: readonly Outcome[]): string {
  const outcome = outcomes.find((one) => one.row === titleOf(row));
  const came = outcome === undefined ? 'not played' : `${outcome.ok ? '' : '**FAILED** '}${outcome.told}`;
  const cells = [
    row.fault,
    STATE_WORDS[row.state],
    row.outcome,
    came,
    outcome?.wire ?? '-',
    `${file}${row.quick === true ? '' : ', `--all`'}`,
    outcome?.at.slice(0, 16).replace('T', ' ') ?? '-',
  ];
  return `| ${cells.map(cell).join(' | ')} |`;
}

/** Markdown. */
export function reportPage(outcomes: readonly Outcome[]): string {
  const rows = ROW_FILES.flatMap(([file, some]) => some.map((row) => ({ file, row })));
  const ours = outcomes.filter((one) => rows.some(({ row }) => titleOf(row) === one.row));
  const failed = ours.filter((one) => !one.ok).length;
  return [
    HEAD,
    `Linux ${release()}, ${cpus().length} CPUs; ${ours.length} of ${rows.length} rows played, ${failed} failed.\n`,
    'The tests are in `test/qemu/faults/`; `npm run test:faults` plays those of each test run, with `-- --all` all of them.\n',
    '| fault | state | must come out | came out | packets of the guest | test | played (UTC) |',
    '|---|---|---|---|---|---|---|',
    ...rows.map(({ row, file }) => line(row, file, ours)),
    '',
    TAIL,
  ].join('\n');
}

const TAIL = `## Not played here
- **Clock jumps**: a machine's wall clock can't be set for one host of the pair alone. Nothing in the protocol reads it: all
  times are monotonic (lint forbids \`Date\` in \`sidecar/protocol\`), and the lease has no expiry.
- **Disks** (full, I/O errors): this version has none.
- **Divergence**: an output that differs needs a guest that is made to differ; the simulator and the tests of
  \`sidecar/protocol\` do that.
`;
