// SPDX-License-Identifier: Apache-2.0
// What a host does with the bytes of its guest's console never reaches the guest: a full folder, on either side or on
// both, a reader that does not read, one that leaves. The pair stays as it is, and fails over.
import { expect } from 'chai';
import { dirname, join } from 'node:path';
import type { Client } from '../../cli/demo/client.js';
import { pairLayout, REPO, type HostLayout } from '../../cli/local/layout.js';
import { dropSmallFolders, fill, makeRoom, useSmallFolders } from './support/folder.js';
import { muteConsole, muteScreen } from './support/mute-reader.js';
import { PATIENT, type Side, type TestPair } from './support/pair.js';
import { suiteWithPair } from './support/suite.js';
import { until } from './support/wait.js';

const RERUN = 'npx mocha --timeout 600000 build/test/qemu/console.test.js';
/** The guest writes a line each millisecond. */
const FLOOD = { append: 'lockstep.tick_ms=1' };
/** So many replies take some seconds. */
const REPLIES = 500;
const REPLIES_MS_MAX = 60_000;

/** Replies come, each right, and the pair is the same all the while: nothing was found to differ. */
async function goesOn(pair: TestPair, client: Client, what: string): Promise<void> {
  const before = await pair.until(`protection: ${what}`, ({ status }) => status === 'Protected');
  let replies = 0;
  await until(`${REPLIES} replies: ${what}`, REPLIES_MS_MAX, async () => {
    replies += (await client.window()).replies;
    const { status, state, epoch, hosts } = await pair.status();
    if (state === 'Unknown') return undefined; // an agent of a busy machine
    expect({ status, epoch, sides: hosts.map(({ nonce }) => nonce) }, what).to.deep.equal({
      status: 'Protected',
      epoch: before.epoch,
      sides: before.hosts.map(({ nonce }) => nonce),
    });
    return replies >= REPLIES ? true : undefined;
  });
}

/** The backup takes over, what it was told by its console or not; and is protected again by the other host. */
async function failsOver(pair: TestPair, client: Client, primary: Side, backup: Side): Promise<void> {
  await pair.kill(primary.host);
  await pair.untilLive(backup);
  await Promise.all(pair.pair.layout.hosts.map(makeRoom));
  await pair.protect();
  await goesOn(pair, client, 'after the failover');
  const { acknowledged, found } = await client.finish();
  expect(found).to.equal(acknowledged);
}

const hostsOf = async (pair: TestPair): Promise<readonly [Side, Side]> => [
  await pair.primary(),
  await pair.backup(),
];

describe("a guest's console", () => {
  describe('that is kept in a full folder', () => {
    const layout = pairLayout('fullfolder');
    after(() => dropSmallFolders(layout));
    const suite = suiteWithPair(layout.name, RERUN, {
      prepare: useSmallFolders,
      machine: FLOOD,
      sidecarOverrides: PATIENT,
    });

    it('does not reach the guest, whichever side it is', async () => {
      const { pair } = suite;
      const client = pair.client();
      try {
        await pair.protect();
        const [primary, backup] = await hostsOf(pair);
        const fills: readonly (readonly [string, readonly HostLayout[]])[] = [
          ["the primary's is full", [primary.host]],
          ["the backup's is full", [backup.host]],
          ['both are full', [primary.host, backup.host]],
        ];
        for (const [what, hosts] of fills) {
          for (const host of hosts) fill(host);
          await goesOn(pair, client, what);
          if (hosts.length === 1) await Promise.all(hosts.map(makeRoom));
        }
        await failsOver(pair, client, primary, backup);
      } finally {
        client.kill();
      }
    });
  });

  describe('that somebody does not read', () => {
    const suite = suiteWithPair('mutereader', RERUN, {
      qemuBinary: join(REPO, 'test/qemu/support/console-socket.sh'),
      machine: FLOOD,
      sidecarOverrides: PATIENT,
    });

    it('does not reach the guest, nor when the reader leaves', async () => {
      const { pair } = suite;
      const client = pair.client();
      try {
        await pair.protect();
        const [primary, backup] = await hostsOf(pair);
        const readers = [];
        for (const { serialFile } of [primary, backup]) {
          const dir = dirname(serialFile);
          readers.push(await muteConsole(join(dir, 'console.sock')), await muteScreen(join(dir, 'vnc.sock')));
        }
        await goesOn(pair, client, 'they do not read');
        for (const reader of readers) reader.destroy();
        await goesOn(pair, client, 'they have left');
        await failsOver(pair, client, primary, backup);
      } finally {
        client.kill();
      }
    });
  });
});
