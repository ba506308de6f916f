// SPDX-License-Identifier: Apache-2.0
// The guest's clock keeps real time (native/shim/warp.c): busy, idle, protected, and over a failover. How closely is
// measured by `npm run bench -- --only clock`; here it is whether it does.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { failoverCycle, replies } from './support/cycle.js';
import { behind, keepBusy, readGuestClock, type Reading } from './support/guest-clock.js';
import { PATIENT } from './support/pair.js';
import { suiteWithPair } from './support/suite.js';
import { until } from './support/wait.js';

const RERUN = 'npx mocha --timeout 600000 build/test/qemu/clock.test.js';
/** Without the steps a guest that is busy for so long is several seconds behind. */
const BUSY_MS = 8_000;
const LOOK_MS = 500;
const LOOKS = 5;
const BUSY_BEHIND_S_MAX = 1;
const IDLE_BEHIND_S_MAX = 0.1;
/** The guest's clock may be this much ahead before its vCPU is held; and a reading takes a moment. */
const AHEAD_S_MAX = 0.05;
const CATCH_UP_MS_MAX = 20_000;

const middle = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

describe("the guest's clock", () => {
  const suite = suiteWithPair('clock', RERUN, { sidecarOverrides: PATIENT });
  let last: Reading | undefined;

  /** Never back, never ahead of real time. */
  const read = async (from?: Reading): Promise<Reading> => {
    const now = await readGuestClock(suite.pair.pair.layout);
    if (last !== undefined) expect(now.guestS, 'guest time').to.be.above(last.guestS);
    if (from !== undefined) expect(behind(from, now).most, 'behind').to.be.above(-AHEAD_S_MAX);
    last = now;
    return now;
  };

  const idleAgain = (from: Reading): Promise<Reading> =>
    until('the clock of the idle guest', CATCH_UP_MS_MAX, async () => {
      const now = await read(from);
      return behind(from, now).least <= IDLE_BEHIND_S_MAX ? now : undefined;
    });

  /** While the guest is busy. The one in the middle: a host that stands still is another matter. */
  const keepsTimeWhileBusy = async (from: Reading): Promise<void> => {
    let over = false;
    const seen: number[] = [];
    const looks = async (): Promise<void> => {
      await sleep(BUSY_MS);
      for (let n = 0; n < LOOKS; n++) {
        seen.push(behind(from, await read(from)).least);
        await sleep(LOOK_MS);
      }
    };
    const busy = keepBusy(suite.pair.pair.layout, () => over);
    await Promise.all([busy, looks().finally(() => (over = true))]);
    expect(middle(seen), 'behind while busy').to.be.at.most(BUSY_BEHIND_S_MAX);
  };

  /** The guest may still be catching up from its boot. */
  const settled = (): Promise<Reading> =>
    until('a clock that goes evenly', CATCH_UP_MS_MAX, async () => {
      const from = await read();
      await sleep(LOOK_MS);
      const by = behind(from, await read());
      return Math.abs(by.least) < IDLE_BEHIND_S_MAX / 2 && by.most < IDLE_BEHIND_S_MAX ? from : undefined;
    });

  it('keeps real time while the guest is busy, and has caught up when it is idle', async () => {
    const from = await settled();
    await keepsTimeWhileBusy(from);
    await idleAgain(from);
  });

  it('goes on over two failovers, protected and busy in between; consoles are bit-identical', async () => {
    const { pair } = suite;
    const client = pair.client();
    try {
      const from = await settled();
      for (let n = 1; n <= 2; n++) {
        await pair.protect();
        await keepsTimeWhileBusy(from);
        await failoverCycle(pair, client);
        await idleAgain(from);
      }
      await replies(client, 10);
      const { acknowledged, found } = await client.finish();
      expect(found).to.equal(acknowledged);
    } finally {
      client.kill();
    }
  });
});
