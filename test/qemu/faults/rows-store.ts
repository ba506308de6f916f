// SPDX-License-Identifier: Apache-2.0
// The lease store stands still, dies, or loses what it knew: while nothing else happens, and together with a kill.
import type { Row } from './row.js';
import type { Sides, Stage, Watched } from './stage.js';

const AWAY_MS = 2000;

/** The VM runs as before, and status says what is wrong with the store. */
async function alert(stage: Stage, owner: Watched): Promise<string> {
  const status = await stage.pair.until('status to say what is wrong', (now) => now.leaseTrouble !== null);
  await stage.owns(owner);
  await stage.serves();
  return status.leaseTrouble ?? '';
}

const allWell = (stage: Stage): Promise<unknown> =>
  stage.pair.until(
    'the store to be well again',
    (now) => now.leaseTrouble === null && now.status === 'Protected',
  );

/** The new epoch is one that counts: the backup can win it. */
async function failsOver(stage: Stage, sides: Sides): Promise<void> {
  await stage.pair.kill(sides.primary.host);
  await stage.owns(sides.backup);
  await stage.serves();
}

async function storeFrozen(stage: Stage): Promise<string> {
  const sides = await stage.protected();
  await stage.store.freeze();
  const trouble = await alert(stage, sides.primary);
  await stage.passes(AWAY_MS);
  await stage.store.thaw();
  await allWell(stage);
  const { epoch } = await stage.owns(sides.primary);
  if (epoch !== sides.epoch) throw new Error(`epoch ${epoch ?? '?'}, was ${sides.epoch}`);
  return `status said '${trouble}'; the same epoch afterwards`;
}

async function storeRestarts(stage: Stage): Promise<string> {
  const sides = await stage.protected();
  await stage.store.kill();
  const trouble = await alert(stage, sides.primary);
  await stage.store.begin('kept');
  await allWell(stage);
  const { epoch } = await stage.owns(sides.primary);
  if (epoch !== sides.epoch) throw new Error(`epoch ${epoch ?? '?'}, was ${sides.epoch}`);
  await failsOver(stage, sides);
  return `status said '${trouble}'; the same epoch afterwards, and the backup can win it`;
}

/** The owner opens the store again, the backup promises, a new epoch is armed. */
async function keysLost(stage: Stage, lose: (stage: Stage) => Promise<void>): Promise<string> {
  const sides = await stage.protected();
  await lose(stage);
  const status = await stage.pair.until(
    'a new epoch',
    (now) => now.status === 'Protected' && now.leaseTrouble === null && (now.epoch ?? 0) > sides.epoch,
  );
  await stage.owns(sides.primary);
  await stage.serves();
  await failsOver(stage, sides);
  return `armed anew, epoch ${sides.epoch} became ${status.epoch ?? '?'}; the backup can win it`;
}

const emptyRestart = async ({ store }: Stage): Promise<void> => {
  await store.kill();
  await store.begin('removed');
};

/** A copy of the store as it was an epoch ago. */
async function rolledBack(stage: Stage): Promise<string> {
  const { backup } = await stage.protected();
  await stage.store.kill();
  await stage.store.keepCopy();
  await stage.store.begin('kept');
  await stage.pair.kill(backup.host);
  await stage.pair.until('the backup to be lost', (now) => now.status !== 'Protected');
  return keysLost(stage, async ({ store }) => {
    await store.kill();
    await store.begin('copy');
  });
}

async function unprotected(
  stage: Stage,
  lose: (stage: Stage) => Promise<void>,
  trouble: boolean,
): Promise<string> {
  const owner = await stage.unprotected();
  await lose(stage);
  const said = trouble ? `status said '${await alert(stage, owner)}'; ` : '';
  await stage.serves();
  await stage.passes(AWAY_MS);
  await stage.owns(owner);
  await stage.serves();
  return `${said}the VM runs on`;
}

/** Nobody owns the VM, nothing of it gets out, and status says why. */
async function waits(stage: Stage, backup: Watched, reasons: readonly string[]): Promise<string> {
  const status = await stage.pair.until(
    `status to say ${reasons.join(' or ')}`,
    (now) =>
      reasons.includes(now.leaseTrouble ?? '') &&
      now.hosts.some((host) => host.nonce === backup.nonce && host.phase === 'claiming'),
  );
  await stage.staysSo('the backup waits', AWAY_MS, ({ primary }) => primary === null);
  return status.leaseTrouble ?? '';
}

async function killWhileAway(stage: Stage, how: 'frozen' | 'killed'): Promise<string> {
  const { primary, backup } = await stage.protected();
  if (how === 'frozen') await stage.store.freeze();
  else await stage.store.kill();
  await stage.setPower(primary.host, false);
  const trouble = await waits(stage, backup, ['timeout', 'unreachable']);
  if (how === 'frozen') await stage.store.thaw();
  else await stage.store.begin('kept');
  await stage.owns(backup);
  await stage.serves();
  return `status said '${trouble}'; live when the store was back`;
}

async function backupKilledWhileAway(stage: Stage): Promise<string> {
  const { primary, backup } = await stage.protected();
  await stage.store.freeze();
  await stage.setPower(backup.host, false);
  const trouble = await waits(stage, primary, ['timeout', 'unreachable']);
  await stage.store.thaw();
  await stage.owns(primary);
  await stage.serves();
  return `status said '${trouble}'; outputs were held until the store was back`;
}

/** The primary dies and the store has forgotten all: nobody knows who won. It stays so until a person decides. */
async function killAndLose(stage: Stage, lose: (stage: Stage) => Promise<void>): Promise<string> {
  const { primary, backup } = await stage.protected();
  // Frozen: the primary does not see the loss, and does not repair it; the backup does not win before it.
  const [, asleep] = await stage.freezeHosts([primary.host, backup.host]);
  await lose(stage);
  await stage.setPower(primary.host, false);
  asleep?.thaw();
  const trouble = await waits(stage, backup, ['missing']);
  await stage.pair.kill(backup.host);
  await stage.pair.until('the backup to be gone', ({ hosts }) => hosts.some(({ kind }) => kind === 'idle'));
  await stage.coldStart(backup.host);
  await stage.serves();
  return `never live, status said '${trouble}'; started by a person`;
}

const RUNS = 'the VM runs, status tells';

export const STORE_ROWS: readonly Row[] = [
  {
    fault: 'Redis stopped, then continued',
    state: 'L',
    outcome: `${RUNS}; protected again in the same epoch`,
    moves: 0,
    quick: true,
    load: true,
    play: storeFrozen,
  },
  {
    fault: 'Redis killed, restarted with its data',
    state: 'I',
    outcome: `${RUNS}; protected again in the same epoch`,
    moves: 1,
    quick: true,
    play: storeRestarts,
  },
  {
    fault: 'Redis killed, restarted empty',
    state: 'I',
    outcome: 'a new epoch is armed',
    moves: 1,
    quick: true,
    play: (s) => keysLost(s, emptyRestart),
  },
  {
    fault: 'FLUSHALL',
    state: 'L',
    outcome: 'a new epoch is armed',
    moves: 1,
    load: true,
    play: (s) => keysLost(s, ({ store }) => store.flush()),
  },
  {
    fault: 'Redis killed, restarted with data of an epoch ago',
    state: 'I',
    outcome: 'a new epoch is armed',
    moves: 1,
    play: rolledBack,
  },
  {
    fault: 'Redis stopped, then continued',
    state: 'U',
    outcome: RUNS,
    moves: 0,
    play: (s) => unprotected(s, ({ store }) => store.freeze(), true),
  },
  {
    fault: 'Redis killed, restarted with its data',
    state: 'U',
    outcome: RUNS,
    moves: 0,
    play: (s) => unprotected(s, ({ store }) => store.kill(), true),
  },
  {
    fault: 'Redis killed, restarted empty',
    state: 'U',
    outcome: 'the VM runs, and can be protected',
    moves: 0,
    play: (s) => unprotected(s, emptyRestart, false),
  },
  {
    fault: 'FLUSHALL',
    state: 'U',
    outcome: 'the VM runs, and can be protected',
    moves: 0,
    play: (s) => unprotected(s, ({ store }) => store.flush(), false),
  },
  {
    fault: 'Redis stopped and primary killed',
    state: 'G',
    outcome: 'the backup waits, then it is live',
    moves: 1,
    quick: true,
    play: (s) => killWhileAway(s, 'frozen'),
  },
  {
    fault: 'Redis and primary killed, Redis restarted with its data',
    state: 'G',
    outcome: 'the backup waits, then it is live',
    moves: 1,
    play: (s) => killWhileAway(s, 'killed'),
  },
  {
    fault: 'Redis stopped and backup killed',
    state: 'G',
    outcome: 'the primary holds its outputs, then goes on',
    moves: 0,
    play: backupKilledWhileAway,
  },
  {
    fault: 'FLUSHALL and primary killed',
    state: 'G',
    outcome: 'the backup is never live and says why; a person decides',
    moves: 1,
    quick: true,
    play: (s) => killAndLose(s, ({ store }) => store.flush()),
  },
  {
    fault: 'Redis restarted empty and primary killed',
    state: 'G',
    outcome: 'the backup is never live and says why; a person decides',
    moves: 1,
    play: (s) => killAndLose(s, emptyRestart),
  },
];
