// SPDX-License-Identifier: Apache-2.0
/**
 * The fault matrix of docs/protocol.md, one story each. The simulator's own checks run at every step: two live, an output
 * that nobody acknowledged, or a contradiction fail a story wherever they happen.
 */
import { expect } from 'chai';
import { Scenario } from './scenario.js';

function reasonOf(scenario: Scenario, side: 'primary' | 'backup'): string {
  const protection = scenario[side].core.status.protection;
  return protection.word === 'Protected' ? 'Protected' : protection.reason;
}

describe('fault matrix', () => {
  describe('primary killed', () => {
    it('while unprotected: the VM is started again', async () => {
      const s = await Scenario.alone();
      s.primary.kill(false);
      s.world.newLife();
      s.primary = s.world.start('h2', { kind: 'refound', expectEpoch: 1 });
      s.until(s.primary, 'alone');
      expect(s.primary.status?.epoch).to.equal(2);
    });

    it('while cloning: the clone is never promoted', async () => {
      const s = await Scenario.cloning();
      s.primary.kill(false);
      s.untilDead(s.backup);
      expect(s.world.counts.get('failovers')).to.equal(undefined);
    });

    it('when the clone has loaded but nothing is armed: never promoted', async () => {
      const s = await Scenario.cloning();
      s.world.store.up = false;
      s.until(s.backup, 'following');
      s.run(1_000);
      expect(s.primary.status?.phase).to.equal('catchingUp');
      s.primary.kill(false);
      s.world.store.up = true;
      s.untilDead(s.backup);
      expect(reasonOf(s, 'backup')).to.equal('lostConnection');
    });

    it('while protected: the backup goes live and clients go on', async () => {
      const s = await Scenario.protected();
      s.primary.kill(false);
      s.until(s.backup, 'alone');
      s.expectTraffic();
    });

    it('with its host, silently: the backup goes live', async () => {
      const s = await Scenario.protected();
      s.primary.kill(true);
      s.until(s.backup, 'alone');
      s.expectTraffic();
    });

    it('while protecting again after a failover: never promoted', async () => {
      const s = await Scenario.protected();
      s.primary.kill(false);
      s.until(s.backup, 'alone');
      s.swap();
      s.until(s.backup, 'loading');
      s.primary.kill(false);
      s.untilDead(s.backup);
      expect(s.world.counts.get('failovers')).to.equal(1);
    });
  });

  describe('backup killed', () => {
    it('while cloning: abort, and the next one is protected', async () => {
      const s = await Scenario.cloning();
      s.backup.kill(false);
      s.until(s.primary, 'alone');
      s.expectTraffic();
      s.join();
      s.until(s.primary, 'protected');
    });

    it('while protected: the primary claims, goes on alone, and is protected again', async () => {
      const s = await Scenario.protected();
      s.backup.kill(false);
      s.until(s.primary, 'alone');
      expect(s.world.counts.get('claim won')).to.equal(1);
      s.join();
      s.until(s.primary, 'protected');
      expect(s.primary.status?.epoch).to.equal(3);
    });

    it('while protected and the store is away: outputs wait until it is back', async () => {
      const s = await Scenario.protected();
      s.world.store.up = false;
      s.backup.kill(false);
      s.until(s.primary, 'claiming');
      s.expectSilence(800);
      s.world.store.up = true;
      s.until(s.primary, 'alone');
      s.expectTraffic();
    });

    it('when it had won: nobody goes on, the VM is started again', async () => {
      const s = await Scenario.goingLive();
      s.backup.kill(false);
      expect(s.world.alive).to.have.length(0);
      expect(s.world.store.epoch).to.equal(2);
      s.world.newLife();
      s.primary = s.world.start('h3', { kind: 'refound', expectEpoch: 2 });
      s.until(s.primary, 'alone');
    });
  });

  describe('frozen, then thawed', () => {
    it('unprotected primary: goes on', async () => {
      const s = await Scenario.alone();
      s.primary.freeze();
      s.run(2_000);
      s.primary.thaw();
      s.expectTraffic();
      expect(s.primary.status?.phase).to.equal('alone');
    });

    it('primary while cloning: abort', async () => {
      const s = await Scenario.cloning();
      s.primary.freeze();
      s.untilDead(s.backup);
      s.primary.thaw();
      s.until(s.primary, 'alone');
    });

    it('protected primary: the backup goes live, the primary halts on waking', async () => {
      const s = await Scenario.protected();
      s.primary.freeze();
      s.until(s.backup, 'alone');
      s.primary.thaw();
      s.untilDead(s.primary);
      s.expectTraffic();
    });

    it('protected primary, so shortly that nobody has claimed: stays protected after an echo', async () => {
      const s = await Scenario.protected();
      s.backup.freeze();
      s.primary.freeze();
      s.run(600);
      s.primary.thaw();
      s.backup.thaw();
      s.run(1_000);
      const phases = [s.primary.status?.phase, s.backup.status?.phase];
      expect(phases).to.deep.equal(['protected', 'armed']);
      s.expectTraffic();
    });

    it('backup: the primary claims, the backup halts on waking', async () => {
      const s = await Scenario.protected();
      s.backup.freeze();
      s.until(s.primary, 'alone');
      s.backup.thaw();
      s.untilDead(s.backup);
      s.expectTraffic();
    });

    it('backup while cloning: abort', async () => {
      const s = await Scenario.cloning();
      s.backup.freeze();
      s.until(s.primary, 'alone');
      s.backup.thaw();
      s.untilDead(s.backup);
    });

    it('backup while going live: goes live when it wakes', async () => {
      const s = await Scenario.goingLive();
      s.backup.freeze();
      s.run(800);
      s.backup.stuck = false;
      s.backup.thaw();
      s.until(s.backup, 'alone');
    });

    it('both, in turn: one winner', async () => {
      const s = await Scenario.protected();
      s.primary.freeze();
      s.run(350);
      s.backup.freeze();
      s.primary.thaw();
      s.run(600);
      s.backup.thaw();
      s.untilTrue(
        'one is left',
        () => s.world.alive.length === 1 && s.world.alive[0]?.status?.phase === 'alone',
      );
      s.expectTraffic();
    });
  });

  describe('connection of the pair cut', () => {
    for (const [name, from, to] of [
      ['from primary to backup', 'h1', 'h2'],
      ['from backup to primary', 'h2', 'h1'],
    ] as const) {
      it(`${name} only: one winner`, async () => {
        const s = await Scenario.protected();
        s.world.network.cut(from, to);
        s.untilTrue(
          'one is left',
          () => s.world.alive.length === 1 && s.world.alive[0]?.status?.phase === 'alone',
        );
        s.expectTraffic();
      });
    }

    it('both ways: one winner', async () => {
      const s = await Scenario.protected();
      s.cut(['h1', 'h2']);
      s.untilTrue(
        'one is left',
        () => s.world.alive.length === 1 && s.world.alive[0]?.status?.phase === 'alone',
      );
      s.expectTraffic();
    });

    it('while cloning: abort', async () => {
      const s = await Scenario.cloning();
      s.cut(['h1', 'h2']);
      s.until(s.primary, 'alone');
      s.untilDead(s.backup);
    });

    it('only reset: the backup resumes, nobody claims', async () => {
      const s = await Scenario.protected();
      for (const connection of s.world.network.between('h1', 'h2')) connection.reset();
      s.run(1_000);
      expect([s.primary.status?.phase, s.backup.status?.phase]).to.deep.equal(['protected', 'armed']);
      expect(s.world.counts.get('claim won')).to.equal(undefined);
      s.expectTraffic();
    });
  });

  describe('cut off from all', () => {
    it('unprotected primary: runs', async () => {
      const s = await Scenario.alone();
      s.cutOff('h1');
      s.run(2_000);
      s.expectTraffic();
    });

    it('protected primary: the backup goes live; the primary releases nothing and halts when it can ask', async () => {
      const s = await Scenario.protected();
      const heal = s.cutOff('h1');
      s.until(s.backup, 'alone');
      s.until(s.primary, 'claiming');
      s.run(1_000);
      expect(s.primary.status?.phase).to.equal('claiming');
      heal();
      s.untilDead(s.primary);
    });

    it('backup: the primary claims; the backup waits, and halts when it can ask', async () => {
      const s = await Scenario.protected();
      const heal = s.cutOff('h2');
      s.until(s.primary, 'alone');
      s.run(1_000);
      expect(s.backup.status?.phase).to.equal('claiming');
      heal();
      s.untilDead(s.backup);
    });
  });

  describe('lease store', () => {
    it('down while unprotected or protected: runs, and says so', async () => {
      for (const s of [await Scenario.alone(), await Scenario.protected()]) {
        s.world.store.up = false;
        s.untilTrue('trouble is told', () => s.primary.status?.lease === 'timeout');
        s.expectTraffic();
        s.world.store.up = true;
        s.untilTrue('trouble is over', () => s.primary.status?.lease === null);
      }
    });

    it('without room on its disk: says so while protected, before a claim is needed, and again when there is room', async () => {
      for (const s of [await Scenario.alone(), await Scenario.protected()]) {
        s.world.store.takesWrites = false;
        s.untilTrue('trouble is told', () => s.primary.status?.lease === 'diskError');
        s.expectTraffic();
        s.world.store.takesWrites = true;
        s.untilTrue('trouble is over', () => s.primary.status?.lease === null);
      }
    });

    it('without room on its disk when the backup has to go live: it waits until there is room', async () => {
      const s = await Scenario.protected();
      s.world.store.takesWrites = false;
      s.primary.kill(false);
      s.until(s.backup, 'claiming');
      s.expectSilence(2_000);
      s.world.store.takesWrites = true;
      s.until(s.backup, 'alone');
    });

    it('down while cloning: cannot arm, keeps the backup, says why, and arms when it is back', async () => {
      const s = await Scenario.cloning();
      s.world.store.up = false;
      s.until(s.primary, 'catchingUp');
      s.run(5_000);
      expect(reasonOf(s, 'primary')).to.equal('leaseUnusable');
      s.expectTraffic();
      s.world.store.up = true;
      s.until(s.primary, 'protected');
    });

    it('down when the backup has to go live: it waits until it is back', async () => {
      const s = await Scenario.protected();
      s.world.store.up = false;
      s.primary.kill(false);
      s.until(s.backup, 'claiming');
      s.expectSilence(2_000);
      s.world.store.up = true;
      s.until(s.backup, 'alone');
    });

    it('keys lost while protected: reopened and armed anew, in a new epoch', async () => {
      const s = await Scenario.protected();
      s.world.store.flush();
      s.untilTrue('epoch 3', () => s.primary.status?.epoch === 3 && s.primary.status.phase === 'protected');
      s.expectTraffic();
      s.primary.kill(false);
      s.until(s.backup, 'alone');
    });

    it('restarted without promise of durability: armed anew, in a new epoch', async () => {
      const s = await Scenario.protected(false);
      s.world.store.restart(0);
      s.untilTrue('epoch 3', () => s.primary.status?.epoch === 3);
      s.primary.kill(false);
      s.until(s.backup, 'alone');
    });

    it('rolled back: armed anew, in a new epoch', async () => {
      const s = await Scenario.protected(false);
      s.world.store.restart(1);
      s.untilTrue('epoch 3', () => s.primary.status?.epoch === 3);
    });

    it('restarted, durable: nothing changes', async () => {
      const s = await Scenario.protected(true);
      s.world.store.restart(0);
      s.run(1_000);
      expect(s.primary.status?.epoch).to.equal(2);
      s.primary.kill(false);
      s.until(s.backup, 'alone');
    });

    it('keys lost and the primary dead before it could arm anew: nobody goes live; a person must look', async () => {
      const s = await Scenario.protected();
      s.world.store.flush();
      s.primary.kill(false);
      s.until(s.backup, 'claiming');
      s.run(4_000);
      expect(s.backup.status?.phase).to.equal('claiming');
      expect(s.backup.status?.lease).to.equal('missing');
    });

    it('keys lost while cloning: reopened, then armed', async () => {
      const s = await Scenario.cloning();
      s.world.store.flush();
      s.until(s.primary, 'protected');
    });
  });

  describe('engine and log', () => {
    it('primary engine fails: the backup is asked to take over', async () => {
      const s = await Scenario.protected();
      s.primary.fail();
      s.until(s.backup, 'alone');
    });

    it('backup engine fails: barred, the primary goes on', async () => {
      const s = await Scenario.protected();
      s.backup.fail();
      s.until(s.primary, 'alone');
      expect(reasonOf(s, 'primary')).to.equal('engineFailed');
    });

    it('divergence: barred, cloned again', async () => {
      const s = await Scenario.protected();
      s.backup.machine.diverge();
      s.until(s.primary, 'alone');
      expect(reasonOf(s, 'primary')).to.equal('divergence');
      s.join();
      s.until(s.primary, 'protected');
    });

    it('log corrupt: barred', async () => {
      const s = await Scenario.protected();
      s.backup.corrupt();
      s.until(s.primary, 'alone');
      expect(reasonOf(s, 'primary')).to.equal('logCorrupt');
    });

    it('replay stuck: barred', async () => {
      const s = await Scenario.protected();
      s.backup.stuck = true;
      s.until(s.primary, 'alone');
      expect(reasonOf(s, 'primary')).to.equal('stuck');
    });

    it("the primary's engine stands still: the backup takes over", async () => {
      const s = await Scenario.protected();
      s.primary.stuck = true;
      s.until(s.backup, 'alone');
      expect(reasonOf(s, 'primary')).to.equal('engineFailed');
      s.expectTraffic();
    });

    it("an unprotected primary's engine stands still: it is waited for", async () => {
      const s = await Scenario.alone();
      s.primary.stuck = true;
      s.run(3_000);
      s.primary.stuck = false;
      s.expectTraffic();
    });

    it('a clone that takes longer to load than replay may stand still: protected all the same', async () => {
      const s = await Scenario.alone();
      s.world.cloneExtraMs = s.world.limits.replayStuckAfterMs + 200;
      s.join();
      s.until(s.primary, 'protected');
    });

    it('a clone of a large guest takes longer than one that hangs may: protected all the same, and not held', async () => {
      const s = await Scenario.alone();
      s.world.cloneExtraMs = 2 * s.world.limits.cloneGiveUpMs;
      s.join();
      s.until(s.primary, 'cloning');
      s.run(s.world.limits.cloneGiveUpMs);
      s.expectTraffic();
      s.until(s.primary, 'protected');
    });

    it('a clone that hangs is given up, and the next one is protected', async () => {
      const s = await Scenario.alone();
      s.world.clonesHang = true;
      s.join();
      s.until(s.primary, 'cloning');
      s.run(s.world.limits.cloneGiveUpMs - 100);
      expect(s.primary.status?.phase).to.equal('cloning');
      s.until(s.primary, 'alone');
      expect(reasonOf(s, 'primary')).to.equal('cloneFailed');
      s.world.clonesHang = false;
      s.untilDead(s.backup);
      s.join();
      s.until(s.primary, 'protected');
    });

    it('replay stuck after the lease is won: ends, instead of waiting for ever', async () => {
      const s = await Scenario.goingLive();
      s.untilDead(s.backup);
      expect(reasonOf(s, 'backup')).to.equal('stuckAfterWin');
    });

    it('slow replay: the guest is paced down, and up again', async () => {
      const s = await Scenario.protected();
      s.backup.slow = 12;
      s.untilTrue('paced', () => (s.primary.core.numbers(0)?.pacePermille ?? 0) > 0);
      s.backup.slow = 1;
      s.untilTrue('free again', () => s.primary.core.numbers(0)?.pacePermille === 0);
      expect(s.primary.status?.phase).to.equal('protected');
    });
  });

  describe('planned', () => {
    it('failover: the backup goes live at once, the old primary ends, nobody waits for a time-out', async () => {
      const s = await Scenario.protected();
      const began = s.world.schedule.now;
      s.primary.hand({ type: 'commandFailover' });
      s.until(s.backup, 'alone');
      expect(s.world.schedule.now - began).to.be.below(s.world.limits.deadAfterMs);
      s.untilDead(s.primary);
      s.expectTraffic();
    });

    it('failover to a backup that cannot reach the store: the primary takes itself back', async () => {
      const s = await Scenario.protected();
      s.cut(['h2', 'store']);
      s.primary.hand({ type: 'commandFailover' });
      s.until(s.primary, 'alone');
      s.expectTraffic();
    });

    it('failover without protection: refused', async () => {
      const s = await Scenario.alone();
      s.primary.hand({ type: 'commandFailover' });
      s.run(500);
      expect(s.primary.status?.phase).to.equal('alone');
    });

    it('protection off: the backup is dismissed and does not claim', async () => {
      const s = await Scenario.protected();
      s.primary.hand({ type: 'commandProtection', enabled: false });
      s.until(s.primary, 'alone');
      s.untilDead(s.backup);
      expect(reasonOf(s, 'backup')).to.equal('userAction');
      s.expectTraffic();
    });
  });

  describe('switched off', () => {
    for (const by of ['person', 'guest'] as const) {
      it(`by ${by}, connected: both end, and nobody waits for a time-out`, async () => {
        const s = await Scenario.protected();
        const began = s.world.schedule.now;
        s.primary.switchOff(by);
        s.untilDead(s.primary);
        s.untilDead(s.backup);
        expect(s.world.schedule.now - began).to.be.below(s.world.limits.deadAfterMs);
      });

      it(`by ${by}, in a cut: nobody goes live`, async () => {
        const s = await Scenario.protected();
        s.cut(['h1', 'h2']);
        s.primary.switchOff(by);
        s.untilDead(s.primary);
        s.untilDead(s.backup);
        expect(reasonOf(s, 'backup')).to.equal('leaseLost');
        expect(s.world.counts.get('failovers')).to.equal(undefined);
      });
    }

    it('just after a reset: nobody goes live', async () => {
      const s = await Scenario.protected();
      for (const connection of s.world.network.between('h1', 'h2')) connection.reset();
      s.primary.switchOff('person');
      s.untilDead(s.primary);
      s.untilDead(s.backup);
      expect(s.world.counts.get('failovers')).to.equal(undefined);
    });

    it('while the store is down: the goodbye is enough; the primary ends within its bound', async () => {
      const s = await Scenario.protected();
      s.world.store.up = false;
      s.primary.switchOff('person');
      s.untilDead(s.backup);
      s.untilDead(s.primary);
      expect([reasonOf(s, 'primary'), reasonOf(s, 'backup')]).to.deep.equal(['userAction', 'userAction']);
    });
  });
});
