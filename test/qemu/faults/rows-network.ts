// SPDX-License-Identifier: Apache-2.0
// Links that are cut: between the two sides, one way or both, or around one side.
import { cutBetween, cutOff, healNetwork, type Direction } from './host-faults.js';
import type { Row } from './row.js';
import type { Sides, Stage, Watched } from './stage.js';

/** Longer than both sides take to notice. */
const CUT_MS = 2500;
/** How long it is watched that nothing is let out. */
const WAIT_MS = 2500;

const told = (winner: Watched, worstMs: number): string =>
  `host ${winner.host.name} runs the VM; longest wait of the client ${Math.round(worstMs)} ms`;

async function channelCut(stage: Stage, direction: Direction): Promise<string> {
  const sides = await stage.protected();
  await stage.freshWindow();
  await cutBetween(sides.primary.host, sides.backup.host, direction);
  const [winner, loser] = await stage.oneOwns(sides);
  const worstMs = await stage.serves();
  await stage.gone(loser);
  await stage.passes(CUT_MS);
  await stage.owns(winner);
  return told(winner, worstMs);
}

async function oneCutOff(
  stage: Stage,
  which: (sides: Sides) => [hit: Watched, other: Watched],
): Promise<string> {
  const { layout } = stage.pair.pair;
  const [hit, other] = which(await stage.protected());
  await stage.freshWindow();
  await cutOff(layout, hit.host);
  await stage.alone(other);
  const worstMs = await stage.serves();
  await stage.staysSo(
    'the side that is cut off owns nothing',
    CUT_MS,
    ({ primary }) => primary !== hit.host.name,
  );
  await healNetwork(layout);
  await stage.gone(hit);
  await stage.owns(other);
  return told(other, worstMs);
}

/** Nobody owns the VM, and the backup says that it waits for the lease. */
async function backupWaits(stage: Stage, backup: Watched): Promise<void> {
  await stage.pair.until('the backup to claim', ({ hosts }) =>
    hosts.some((host) => host.nonce === backup.nonce && host.phase === 'claiming'),
  );
  await stage.staysSo('the backup waits', WAIT_MS, ({ primary }) => primary === null);
}

async function killedAndCutOff(stage: Stage): Promise<string> {
  const { layout } = stage.pair.pair;
  const { primary, backup } = await stage.protected();
  await stage.freshWindow();
  await cutOff(layout, backup.host);
  await stage.pair.kill(primary.host);
  // The backup went silent for the primary at the same moment, but the primary is dead: only the backup is left.
  await backupWaits(stage, backup);
  await healNetwork(layout);
  await stage.owns(backup);
  return told(backup, await stage.serves());
}

async function killedAndFrozen(stage: Stage): Promise<string> {
  const { primary, backup } = await stage.protected();
  await stage.freshWindow();
  await stage.pair.kill(primary.host);
  const frozen = await stage.freezeHost(backup.host);
  await stage.passes(WAIT_MS);
  frozen.thaw();
  await stage.owns(backup);
  return told(backup, await stage.serves());
}

/** After the primary's death the backup dies too, before or after it has won: the VM is lost, and only a person starts it. */
async function bothKilled(stage: Stage): Promise<string> {
  const { primary, backup } = await stage.protected();
  await stage.pair.kill(primary.host);
  await stage.pair.kill(backup.host);
  await stage.pair.until('both hosts to be back, empty', ({ hosts }) =>
    hosts.every(({ kind }) => kind === 'idle'),
  );
  await stage.staysSo('nobody starts the VM', WAIT_MS, ({ hosts }) =>
    hosts.every(({ kind }) => kind === 'idle'),
  );
  await stage.coldStart(backup.host);
  await stage.serves();
  return 'VM lost, started by a person';
}

const ONE_WINS = 'exactly one wins, the other halts, nothing is lost';

export const NETWORK_ROWS: readonly Row[] = [
  {
    fault: 'channel cut, primary to backup',
    state: 'L',
    outcome: ONE_WINS,
    moves: 1,
    quick: true,
    load: true,
    play: (s) => channelCut(s, 'out'),
  },
  {
    fault: 'channel cut, backup to primary',
    state: 'I',
    outcome: ONE_WINS,
    moves: 1,
    quick: true,
    play: (s) => channelCut(s, 'in'),
  },
  {
    fault: 'channel cut both ways',
    state: 'I',
    outcome: ONE_WINS,
    moves: 1,
    play: (s) => channelCut(s, 'both'),
  },
  {
    fault: 'channel cut both ways',
    state: 'L',
    outcome: ONE_WINS,
    moves: 1,
    quick: true,
    load: true,
    play: (s) => channelCut(s, 'both'),
  },
  {
    fault: 'primary cut off from all, then healed',
    state: 'I',
    outcome: 'the backup is live; the primary waits for the lease and halts when it reaches it',
    moves: 1,
    play: (s) => oneCutOff(s, ({ primary, backup }) => [primary, backup]),
  },
  {
    fault: 'primary cut off from all, then healed',
    state: 'L',
    outcome: 'the backup is live; the primary waits for the lease and halts when it reaches it',
    moves: 1,
    quick: true,
    load: true,
    play: (s) => oneCutOff(s, ({ primary, backup }) => [primary, backup]),
  },
  {
    fault: 'backup cut off from all, then healed',
    state: 'L',
    outcome: 'the primary claims and goes on; the backup halts when it reaches the lease',
    moves: 0,
    quick: true,
    load: true,
    play: (s) => oneCutOff(s, ({ primary, backup }) => [backup, primary]),
  },
  {
    fault: 'primary killed, backup cut off from all',
    state: 'G',
    outcome: 'the backup waits until it reaches the lease, then it is live',
    moves: 1,
    quick: true,
    play: killedAndCutOff,
  },
  {
    fault: 'primary killed, backup frozen at once and thawed',
    state: 'G',
    outcome: 'the backup is live as soon as it wakes',
    moves: 1,
    play: killedAndFrozen,
  },
  {
    fault: 'both killed, one right after the other',
    state: 'G',
    outcome: 'nobody starts it by itself; cold restart by a person',
    moves: 1,
    play: bothKilled,
  },
];
