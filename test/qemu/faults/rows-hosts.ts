// SPDX-License-Identifier: Apache-2.0
// Hosts and processes that die or stand still.
import type { Row } from './row.js';
import { until } from '../support/wait.js';
import { cutOff, healNetwork, type Frozen } from './host-faults.js';
import { corruptLog, snapshotOf, type Sides, type Stage, type Watched } from './stage.js';

/** Longer than any detection, shorter than any patience of a TCP connection. */
const FREEZE_MS = 1500;
const BLINK_MS = 120;
const LOG_BYTES_MIN = 200;
const LOG_MS_MAX = 2000;

/** The other side than the one that has the fault runs on. */
async function survives(stage: Stage, winner: Watched): Promise<string> {
  await stage.alone(winner);
  const worstMs = await stage.serves();
  return `host ${winner.host.name} runs the VM; longest wait of the client ${Math.round(worstMs)} ms`;
}

async function frozenHost(
  stage: Stage,
  which: (sides: Sides) => [hit: Watched, other: Watched],
): Promise<string> {
  const [hit, other] = which(await stage.protected());
  await stage.freshWindow();
  const frozen = await stage.freezeHost(hit.host);
  const told = await survives(stage, other);
  frozen.thaw();
  await stage.gone(hit);
  await stage.owns(other);
  await stage.serves();
  return told;
}

const primaryHit = ({ primary, backup }: Sides): [Watched, Watched] => [primary, backup];
const backupHit = ({ primary, backup }: Sides): [Watched, Watched] => [backup, primary];

async function killed(stage: Stage, which: (sides: Sides) => [Watched, Watched]): Promise<string> {
  const [hit, other] = which(await stage.protected());
  await stage.freshWindow();
  await stage.pair.kill(hit.host);
  return survives(stage, other);
}

async function processKilled(
  stage: Stage,
  which: (sides: Sides) => [Watched, Watched],
  what: 'sidecar' | 'qemu',
  signal: NodeJS.Signals = 'SIGKILL',
): Promise<string> {
  const [hit, other] = which(await stage.protected());
  await stage.freshWindow();
  process.kill(hit[what].pid, signal);
  const told = await survives(stage, other);
  await stage.gone(hit);
  return told;
}

async function processFrozen(
  stage: Stage,
  which: (sides: Sides) => [Watched, Watched],
  what: 'sidecar' | 'qemu',
): Promise<string> {
  const [hit, other] = which(await stage.protected());
  await stage.freshWindow();
  const frozen = stage.freeze(hit[what]);
  const told = await survives(stage, other);
  if (what === 'sidecar' && which === primaryHit) await stage.held(hit);
  frozen.thaw();
  await stage.gone(hit);
  await stage.owns(other);
  return told;
}

async function bothFrozen(stage: Stage, first: 'primary' | 'backup'): Promise<string> {
  const sides = await stage.protected();
  const [one, other] = first === 'primary' ? primaryHit(sides) : backupHit(sides);
  await stage.freshWindow();
  const [firstFrozen, otherFrozen] = await stage.freezeHosts([one.host, other.host]);
  await stage.passes(FREEZE_MS);
  firstFrozen?.thaw();
  const told = await survives(stage, one);
  otherFrozen?.thaw();
  await stage.gone(other);
  await stage.owns(one);
  await stage.serves();
  return told;
}

async function bothFrozenTogether(stage: Stage): Promise<string> {
  const { primary, backup } = await stage.protected();
  await stage.freshWindow();
  const frozen = await stage.freezeHosts([primary.host, backup.host]);
  await stage.passes(FREEZE_MS);
  for (const one of frozen) one.thaw();
  const worstMs = await stage.serves();
  const status = await stage.pair.until('an owner', (now) => now.primary !== null);
  return `host ${status.primary ?? '?'} runs the VM; longest wait of the client ${Math.round(worstMs)} ms`;
}

async function frozenInTurns(stage: Stage): Promise<string> {
  const { primary, backup } = await stage.protected();
  await stage.freshWindow();
  const first = await stage.freezeHost(primary.host);
  await stage.passes(250); // the backup is about to notice, or has just noticed
  const second = await stage.freezeHost(backup.host);
  await stage.passes(FREEZE_MS);
  first.thaw();
  await stage.passes(FREEZE_MS);
  second.thaw();
  const [winner, loser] = await stage.oneOwns({ primary, backup });
  const worstMs = await stage.serves();
  await stage.gone(loser);
  return `host ${winner.host.name} has won; longest wait of the client ${Math.round(worstMs)} ms`;
}

async function blink(stage: Stage, which: (sides: Sides) => [Watched, Watched]): Promise<string> {
  const [hit] = which(await stage.protected());
  await stage.freshWindow();
  const frozen = await stage.freezeHost(hit.host);
  await stage.passes(BLINK_MS);
  frozen.thaw();
  const worstMs = await stage.serves();
  return `nothing but a wait of ${Math.round(worstMs)} ms`;
}

/** Log waits in the backup's ring, its QEMU stands still; when it reads on, the log is garbage. */
async function logCorrupt(stage: Stage): Promise<string> {
  const { primary, backup } = await stage.protected();
  await stage.freshWindow();
  const frozen = stage.freeze(backup.qemu);
  await until('log to wait', LOG_MS_MAX, () => {
    const { consumed, produced } = snapshotOf(backup);
    return Promise.resolve(produced - consumed > LOG_BYTES_MIN ? true : undefined);
  });
  const bytes = await corruptLog(backup);
  frozen.thaw();
  const told = await survives(stage, primary);
  await stage.gone(backup);
  return `${bytes} bytes overwritten; ${told}`;
}

/** The VM alone, without anybody who could take over. */
async function aloneThrough(stage: Stage, fault: (owner: Watched) => Promise<void>): Promise<string> {
  const owner = await stage.unprotected();
  await stage.freshWindow();
  await fault(owner);
  await stage.owns(owner);
  const worstMs = await stage.serves();
  return `the same incarnation runs on; longest wait of the client ${Math.round(worstMs)} ms`;
}

async function standsStill(stage: Stage, frozen: Frozen): Promise<void> {
  await stage.passes(FREEZE_MS);
  frozen.thaw();
}

async function unplugged(stage: Stage, owner: Watched): Promise<void> {
  const { layout } = stage.pair.pair;
  await cutOff(layout, owner.host);
  await stage.passes(FREEZE_MS);
  await healNetwork(layout);
}

async function killedAlone(stage: Stage): Promise<string> {
  const owner = await stage.unprotected();
  await stage.pair.kill(owner.host);
  await stage.pair.until('its host to be back, empty', ({ hosts }) =>
    hosts.some(({ kind }) => kind === 'idle'),
  );
  await stage.coldStart(owner.host);
  await stage.serves();
  return 'VM lost, started by a person';
}

const BACKUP_LIVE = 'the backup is live, the old primary halts, nothing is lost';
const PRIMARY_ON = 'the primary claims and goes on, the old backup halts, nothing is lost';

export const HOST_ROWS: readonly Row[] = [
  { fault: 'primary killed', state: 'I', outcome: BACKUP_LIVE, moves: 1, play: (s) => killed(s, primaryHit) },
  {
    fault: 'primary killed',
    state: 'L',
    outcome: BACKUP_LIVE,
    moves: 1,
    quick: true,
    load: true,
    play: (s) => killed(s, primaryHit),
  },
  // As libvirt, or who ends a pod, does it: QEMU tidies up, and logs its end. The guest must not end with it.
  {
    fault: 'primary QEMU terminated',
    state: 'L',
    outcome: BACKUP_LIVE,
    moves: 1,
    quick: true,
    load: true,
    play: (s) => processKilled(s, primaryHit, 'qemu', 'SIGTERM'),
  },
  {
    fault: 'backup QEMU terminated',
    state: 'L',
    outcome: PRIMARY_ON,
    moves: 0,
    load: true,
    play: (s) => processKilled(s, backupHit, 'qemu', 'SIGTERM'),
  },
  { fault: 'backup killed', state: 'I', outcome: PRIMARY_ON, moves: 0, play: (s) => killed(s, backupHit) },
  {
    fault: 'backup killed',
    state: 'L',
    outcome: PRIMARY_ON,
    moves: 0,
    quick: true,
    load: true,
    play: (s) => killed(s, backupHit),
  },
  {
    fault: 'primary host frozen, then thawed',
    state: 'I',
    outcome: BACKUP_LIVE,
    moves: 1,
    play: (s) => frozenHost(s, primaryHit),
  },
  {
    fault: 'primary host frozen, then thawed',
    state: 'L',
    outcome: BACKUP_LIVE,
    moves: 1,
    quick: true,
    load: true,
    play: (s) => frozenHost(s, primaryHit),
  },
  {
    fault: 'backup host frozen, then thawed',
    state: 'I',
    outcome: PRIMARY_ON,
    moves: 0,
    play: (s) => frozenHost(s, backupHit),
  },
  {
    fault: 'backup host frozen, then thawed',
    state: 'L',
    outcome: PRIMARY_ON,
    moves: 0,
    quick: true,
    load: true,
    play: (s) => frozenHost(s, backupHit),
  },
  {
    fault: 'both hosts frozen, the primary thawed first',
    state: 'L',
    outcome: PRIMARY_ON,
    moves: 0,
    quick: true,
    load: true,
    play: (s) => bothFrozen(s, 'primary'),
  },
  {
    fault: 'both hosts frozen, the backup thawed first',
    state: 'L',
    outcome: BACKUP_LIVE,
    moves: 1,
    quick: true,
    load: true,
    play: (s) => bothFrozen(s, 'backup'),
  },
  {
    fault: 'both hosts frozen and thawed at the same time',
    state: 'I',
    outcome: 'one owner, and nothing is lost',
    moves: 1,
    play: bothFrozenTogether,
  },
  {
    fault: 'primary frozen, backup frozen while it notices, thawed one after the other',
    state: 'G',
    outcome: 'exactly one wins, the other halts',
    moves: 1,
    quick: true,
    play: frozenInTurns,
  },
  {
    fault: 'primary host frozen for less than a detection',
    state: 'I',
    outcome: 'still protected, in the same epoch',
    moves: 0,
    play: (s) => blink(s, primaryHit),
  },
  {
    fault: "only the primary's sidecar frozen, then thawed",
    state: 'I',
    outcome: `the guest is held, ${BACKUP_LIVE}`,
    moves: 1,
    quick: true,
    play: (s) => processFrozen(s, primaryHit, 'sidecar'),
  },
  {
    fault: "only the backup's sidecar frozen, then thawed",
    state: 'I',
    outcome: PRIMARY_ON,
    moves: 0,
    play: (s) => processFrozen(s, backupHit, 'sidecar'),
  },
  {
    fault: "only the primary's QEMU frozen",
    state: 'I',
    outcome: 'its sidecar hands over: the backup is live, the frozen QEMU is ended',
    moves: 1,
    quick: true,
    play: (s) => processFrozen(s, primaryHit, 'qemu'),
  },
  {
    fault: "only the backup's QEMU frozen",
    state: 'I',
    outcome: 'stuck: it bars itself, the primary goes on',
    moves: 0,
    play: (s) => processFrozen(s, backupHit, 'qemu'),
  },
  {
    fault: "only the primary's sidecar killed",
    state: 'I',
    outcome: BACKUP_LIVE,
    moves: 1,
    quick: true,
    play: (s) => processKilled(s, primaryHit, 'sidecar'),
  },
  {
    fault: "only the backup's sidecar killed",
    state: 'I',
    outcome: PRIMARY_ON,
    moves: 0,
    play: (s) => processKilled(s, backupHit, 'sidecar'),
  },
  {
    fault: "only the primary's QEMU killed",
    state: 'I',
    outcome: BACKUP_LIVE,
    moves: 1,
    play: (s) => processKilled(s, primaryHit, 'qemu'),
  },
  {
    fault: "only the backup's QEMU killed",
    state: 'I',
    outcome: PRIMARY_ON,
    moves: 0,
    play: (s) => processKilled(s, backupHit, 'qemu'),
  },
  {
    fault: "log corrupt in the backup's memory",
    state: 'L',
    outcome: 'the backup is barred and ends, the primary goes on, the next clone is protected',
    moves: 0,
    load: true,
    play: logCorrupt,
  },
  {
    fault: 'primary killed',
    state: 'U',
    outcome: 'cold restart by a person',
    moves: 0,
    play: killedAlone,
  },
  {
    fault: 'primary host frozen, then thawed',
    state: 'U',
    outcome: 'goes on',
    moves: 0,
    play: (s) => aloneThrough(s, async ({ host }) => standsStill(s, await s.freezeHost(host))),
  },
  {
    fault: "only the primary's QEMU frozen, then thawed",
    state: 'U',
    outcome: 'goes on: nobody could do better',
    moves: 0,
    play: (s) => aloneThrough(s, ({ qemu }) => standsStill(s, s.freeze(qemu))),
  },
  {
    fault: 'primary cut off from all, then healed',
    state: 'U',
    outcome: 'goes on',
    moves: 0,
    play: (s) => aloneThrough(s, (owner) => unplugged(s, owner)),
  },
];
