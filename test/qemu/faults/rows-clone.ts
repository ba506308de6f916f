// SPDX-License-Identifier: Apache-2.0
// Faults while a backup is being cloned (also: again, after a failover). The clone is never promoted; the VM runs on its
// primary, and the controller tries again.
import { cutBetween, cutOff, healNetwork, type Direction } from './host-faults.js';
import type { Row } from './row.js';
import type { Stage, Watched } from './stage.js';

const FREEZE_MS = 1500;

interface Cloning {
  readonly primary: Watched;
  readonly backup: Watched;
}

/** The fault hits a clone; that clone ends, and the primary has never stopped being the owner. */
async function aborted(
  stage: Stage,
  fault: (sides: Cloning) => Promise<() => Promise<void> | void>,
): Promise<string> {
  const sides = await stage.cloning();
  const heal = await fault(sides);
  await stage.gone(sides.backup);
  await heal();
  await stage.owns(sides.primary);
  await stage.serves();
  return 'the clone ended';
}

const frozen =
  (which: keyof Cloning) =>
  (stage: Stage): Promise<string> =>
    aborted(stage, async (sides) => {
      const standstill = await stage.freezeHost(sides[which].host);
      await stage.passes(FREEZE_MS);
      standstill.thaw();
      return () => undefined;
    });

const cut =
  (direction: Direction) =>
  (stage: Stage): Promise<string> =>
    aborted(stage, async ({ primary, backup }) => {
      await cutBetween(primary.host, backup.host, direction);
      return () => healNetwork(stage.pair.pair.layout);
    });

const unplugged =
  (which: keyof Cloning) =>
  (stage: Stage): Promise<string> =>
    aborted(stage, async (sides) => {
      const { layout } = stage.pair.pair;
      await cutOff(layout, sides[which].host);
      return () => healNetwork(layout);
    });

async function backupKilled(stage: Stage): Promise<string> {
  const { primary, backup } = await stage.cloning();
  await stage.pair.kill(backup.host);
  await stage.owns(primary);
  await stage.serves();
  return 'the clone ended';
}

async function primaryKilled(stage: Stage): Promise<string> {
  const { primary, backup } = await stage.cloning();
  await stage.pair.kill(primary.host);
  await stage.gone(backup);
  await stage.pair.until('both hosts to be empty', ({ hosts }) => hosts.every(({ kind }) => kind === 'idle'));
  await stage.coldStart(backup.host);
  await stage.serves();
  return 'the clone ended by itself, never live; the VM was started by a person';
}

async function storeAway(stage: Stage): Promise<string> {
  const { primary } = await stage.cloning();
  await stage.store.freeze();
  const status = await stage.pair.until(
    'the clone to be loaded and not armed',
    ({ hosts, leaseTrouble }) => leaseTrouble !== null && hosts.some(({ phase }) => phase === 'catchingUp'),
  );
  await stage.staysSo('not protected', FREEZE_MS, (now) => now.status !== 'Protected');
  await stage.owns(primary);
  await stage.serves();
  await stage.store.thaw();
  return `loaded, but not protected while status said '${status.leaseTrouble ?? ''}'`;
}

async function storeEmptied(stage: Stage): Promise<string> {
  const { primary } = await stage.cloning();
  await stage.store.flush();
  const status = await stage.pair.protect();
  await stage.owns(primary);
  await stage.serves();
  return `protected in epoch ${status.epoch ?? '?'} of the store's new life`;
}

const ABORT = 'the clone is aborted, the primary runs, the next clone is protected';

export const CLONE_ROWS: readonly Row[] = [
  { fault: 'backup killed', state: 'C', outcome: ABORT, moves: 0, quick: true, play: backupKilled },
  {
    fault: 'primary host frozen, then thawed',
    state: 'C',
    outcome: ABORT,
    moves: 0,
    quick: true,
    play: frozen('primary'),
  },
  { fault: 'backup host frozen, then thawed', state: 'C', outcome: ABORT, moves: 0, play: frozen('backup') },
  { fault: 'channel cut, primary to backup', state: 'C', outcome: ABORT, moves: 0, play: cut('out') },
  { fault: 'channel cut, backup to primary', state: 'C', outcome: ABORT, moves: 0, play: cut('in') },
  { fault: 'channel cut both ways', state: 'C', outcome: ABORT, moves: 0, play: cut('both') },
  {
    fault: 'primary cut off from all, then healed',
    state: 'C',
    outcome: ABORT,
    moves: 0,
    play: unplugged('primary'),
  },
  {
    fault: 'backup cut off from all, then healed',
    state: 'C',
    outcome: ABORT,
    moves: 0,
    play: unplugged('backup'),
  },
  {
    fault: 'Redis stopped, then continued',
    state: 'C',
    outcome: 'cannot arm while it is away, the VM runs; armed when it is back',
    moves: 0,
    play: storeAway,
  },
  {
    fault: 'FLUSHALL',
    state: 'C',
    outcome: 'armed in a new life of the store',
    moves: 0,
    play: storeEmptied,
  },
  {
    fault: 'primary killed',
    state: 'C',
    outcome: 'the clone is never promoted; cold restart by a person',
    moves: 1,
    quick: true,
    play: primaryKilled,
  },
];
