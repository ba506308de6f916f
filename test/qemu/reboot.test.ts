// SPDX-License-Identifier: Apache-2.0
// A reset is ordinary life: whoever asks for it, the machine starts anew on both sides, at the same place of the log, and the
// pair stays the pair that it is. In the middle of a clone and just before a power cut as well. Power-off stays off.
import { expect } from 'chai';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../cli/local/errors.js';
import { sidecarReset } from '../../cli/local/sidecar-api.js';
import type { PairStatus } from '../../cli/local/status.js';
import { failoverCycle } from './support/cycle.js';
import { guestStarts, orderGuest } from './support/guest.js';
import { PATIENT, TICK_MS, type Side } from './support/pair.js';
import { suiteWithPair } from './support/suite.js';
import { until } from './support/wait.js';

const RERUN = 'npx mocha --timeout 600000 build/test/qemu/reboot.test.js';
const START_MS_MAX = 120_000;
/** Between a guest's answer that it resets and the power cut: before it does, in its firmware, in its kernel. */
const CUT_AFTER_MS = [0, 250, 1_500];

const sameSides = ({ status, epoch, hosts }: PairStatus) => ({
  status,
  epoch,
  sides: hosts.map(({ name, nonce, role }) => ({ name, nonce, role })),
});

describe('a guest that starts anew', () => {
  const suite = suiteWithPair('reboot', RERUN, {
    sidecarOverrides: PATIENT,
    machine: { append: `lockstep.tick_ms=${TICK_MS} panic=-1` },
  });

  /** The guest has come up `starts` times by this side's console; the side that it is all the while. */
  const cameUp = (side: Side, starts: number): Promise<true> =>
    until(`start ${starts} of the guest on host ${side.host.name}`, START_MS_MAX, async () => {
      if ((await guestStarts(side)) >= starts) return true;
      const { hosts } = await suite.pair.status();
      const there = hosts.find(({ name }) => name === side.host.name);
      if (there?.kind === 'deaf') return undefined; // an agent of a busy machine
      expect(there?.nonce, `the side on host ${side.host.name}, while its guest starts anew`).to.equal(
        side.nonce,
      );
      return undefined;
    });

  const controlOf = async (which: 'primary' | 'backup'): Promise<string> => {
    const status = await suite.pair.status();
    const socket = status.hosts.find(({ name }) => name === status[which])?.controlSocket;
    if (typeof socket !== 'string') throw new Error(`there is no ${which}`);
    return socket;
  };
  const resetByHost = async (): Promise<void> => {
    await sidecarReset(await controlOf('primary'));
  };

  const resetBy = {
    'its own wish': () => orderGuest(suite.pair.pair.layout, 'reset'),
    'a panic': () => orderGuest(suite.pair.pair.layout, 'panic'),
    'the button': resetByHost,
  };

  /** Both sides' guests are up again afterwards. */
  const onBothSides = async (reset: () => Promise<void>): Promise<void> => {
    const sides = [await suite.pair.primary(), await suite.pair.backup()];
    const before = await Promise.all(sides.map(guestStarts));
    await reset();
    await Promise.all(sides.map((side, at) => cameUp(side, (before[at] ?? 0) + 1)));
  };

  it('stays protected in the same epoch, by the same sides, several times in a row', async () => {
    const { pair } = suite;
    const before = sameSides(await pair.protect());
    for (const [by, reset] of Object.entries(resetBy)) {
      await onBothSides(reset);
      expect(sameSides(await pair.status()), by).to.deep.equal(before);
    }
    // The consoles, resets and all, are compared bit by bit there; and the winner protects itself as ever.
    const client = pair.client();
    try {
      await failoverCycle(pair, client);
      const { acknowledged, found } = await client.finish();
      expect(found).to.equal(acknowledged);
    } finally {
      client.kill();
    }
  });

  it('is not reset by way of its backup', async () => {
    await suite.pair.protect();
    const refused = await sidecarReset(await controlOf('backup')).catch(messageOf);
    expect(refused).to.include('the VM runs on the other side');
  });

  it('is protected by a clone in whose middle it was reset', async () => {
    const { pair } = suite;
    await pair.protect();
    await pair.wantProtection(false);
    const [primary, { host }] = [await pair.primary(), await pair.backup()];
    await pair.kill(host);
    await pair.until('the primary to be alone', ({ status }) => status === 'Not Protected');
    const starts = await guestStarts(primary);
    await pair.wantProtection(true);
    await pair.until('a clone', ({ hosts }) => hosts.some(({ phase }) => phase === 'cloning'));
    await resetByHost();
    await cameUp(primary, starts + 1);
    const status = await pair.protect();
    expect(status.primary).to.equal(primary.host.name);
    await onBothSides(resetByHost);
  });

  for (const cutMs of CUT_AFTER_MS) {
    it(`comes up on the other host when its own dies ${cutMs} ms after it was told`, async () => {
      const { pair } = suite;
      await pair.protect();
      const [primary, backup] = [await pair.primary(), await pair.backup()];
      const starts = await guestStarts(backup);
      await orderGuest(pair.pair.layout, 'reset');
      await sleep(cutMs);
      await pair.kill(primary.host);
      await pair.untilLive(backup);
      await cameUp(backup, starts + 1);
      await pair.protect();
    });
  }

  it('stays off when it switches itself off', async () => {
    const { pair } = suite;
    await onBothSides(() => orderGuest(pair.pair.layout, 'reset'));
    await orderGuest(pair.pair.layout, 'poweroff');
    await pair.until('both hosts to be empty', ({ hosts }) => hosts.every(({ kind }) => kind === 'idle'));
  });
});
