// SPDX-License-Identifier: Apache-2.0
// Bugs that others had (README.md), of who goes on after whom: played in the simulator, whose checks (test/sim/safety.ts) run
// at every step of a story. Its guests are small talkers: all that they say is a packet of 42 to 170 bytes.
import { expect } from 'chai';
import { Scenario } from '../sim/scenario.js';

const FAILOVERS = 50;
const TALK_MS = 5_000;
/** As somebody types over ssh while `top -d 0.1` runs. */
const SMALL_PACKETS_A_SECOND = 200;
/** Of a guest's steps; in each it sends as many packets as its NIC's socket takes. */
const BURSTS = 0.2;
const KILLS = 50;

/** So long, at that rate, whatever the pair is about. */
function expectTalk(s: Scenario, ms: number): void {
  const before = s.seen;
  s.run(ms);
  expect(((s.seen - before) * 1000) / ms, 'packets a second').to.be.at.least(SMALL_PACKETS_A_SECOND);
}

describe('bugs of others, played', () => {
  it('QEMU #2645: a shutdown under record hangs. Here what has switched itself off ends on both sides, and stays off', async () => {
    const s = await Scenario.protected();
    s.primary.switchOff('guest');
    s.untilDead(s.primary);
    s.untilDead(s.backup);
    expect(s.world.counts.get('failovers')).to.equal(undefined);
  });

  it('LP 1824622: the primary dies of fast small packets. Here not in a clone, protected, nor after a failover', async () => {
    const s = await Scenario.alone();
    s.world.bursts = BURSTS;
    expectTalk(s, 2_000);
    s.join();
    s.until(s.primary, 'cloning');
    s.until(s.primary, 'protected');
    expectTalk(s, TALK_MS);
    s.primary.kill(false);
    s.until(s.backup, 'alone');
    s.swap();
    s.until(s.primary, 'protected');
    expectTalk(s, TALK_MS);
  });

  it(`LP 1881231: no way back after the second failover. Here ${FAILOVERS} in a row, from host to host and back`, async () => {
    const s = await Scenario.protected();
    const hosts = ['h1', 'h2'] as const;
    for (let cycle = 0; cycle < FAILOVERS; cycle += 1) {
      s.primary.kill(false);
      s.until(s.backup, 'alone');
      s.expectTraffic();
      s.primary = s.backup;
      s.backup = s.world.start(hosts[cycle % hosts.length] ?? 'h1', s.primary);
      s.until(s.primary, 'protected');
    }
    expect(s.world.counts.get('failovers')).to.equal(FAILOVERS);
  });

  it('LP 1702798: what comes while the secondary loads is never delivered. Here nothing seen is lost, killed right after arm', async () => {
    for (let kill = 0; kill < KILLS; kill += 1) {
      const s = await Scenario.cloning();
      s.expectTraffic();
      s.until(s.primary, 'protected');
      s.run(kill);
      s.primary.kill(kill % 2 === 0);
      s.until(s.backup, 'alone');
      s.expectTraffic();
    }
  });
});
