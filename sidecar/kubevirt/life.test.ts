// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Epitaph, SidecarStatus } from '../observe/status-schema.js';
import { beginning } from '../runtime/account.js';
import type { AssemblyHandlers } from '../runtime/assembly.js';
import type { Ending } from '../runtime/ending.js';
import type { Config } from './config.js';
import type { StartAnswer, StartRequest } from './start.js';
import { FAILED_STARTS_MAX, Life, START_AGAIN_MS_MAX, type Incarnation, type LifePorts } from './life.js';
import type { Machine } from './machine.js';
import { Refusal } from './trouble.js';

const POD = { ip: '10.244.1.9', node: 'worker' };
const PRIMARY: Config['start'] = { role: 'primary', coldStart: { kind: 'found' } };
const BACKUP: Config['start'] = { role: 'backup', peer: { host: '10.244.1.7', port: 7700, api: 7701 } };
const REQUEST: StartRequest = { argv: ['/usr/bin/qemu-system-x86_64', '-S'], env: {}, tapFd: 21 };
const OF_PEER: Machine = { argv: ['/usr/bin/qemu-system-x86_64', '-uuid', 'x'], cpuModel: 'Rome', mac: null };
const ANSWER = { argv: ['qemu', '-icount'], env: { LOCKSTEP_RING: 'r' } };

/** Stands in for an assembly and the QEMU that it follows. */
class StandIn {
  hasBegun = false;
  isFollowing = false;
  abandoned: string | null = null;
  role: SidecarStatus['role'];
  readonly commands: string[] = [];
  readonly keys: unknown[] = [];

  constructor(
    readonly nonce: string,
    readonly machine: Machine,
    private readonly handlers: AssemblyHandlers,
    private readonly start: Config['start'],
  ) {
    this.role = start.role;
  }

  readonly asAssembly: Incarnation['assembly'] = this.made();

  private made(): Incarnation['assembly'] {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the getter below has a `this` of its own
    const standIn = this;
    return {
      get hasBegun() {
        return standIn.hasBegun;
      },
      follow: () => {
        this.isFollowing = true;
      },
      abandon: (detail) => {
        this.abandoned = detail;
        this.end({ reason: 'engineFailed', detail, onPurpose: false });
      },
      command: ({ type }) => {
        if (this.hasBegun) this.commands.push(type);
        return this.hasBegun;
      },
      metrics: () => Promise.resolve(`of ${this.nonce}\n`),
      status: () => ({
        ...beginning({ nonce: this.nonce, start: this.start }),
        role: this.role,
        epoch: 7,
        numbers: null,
      }),
      useTls: (tls) => this.keys.push(tls),
    };
  }

  begin(): void {
    this.hasBegun = true;
    this.handlers.onStatus();
  }

  end(ending: Omit<Ending, 'hadBegun'>, failed = false): void {
    const all = { ...ending, hadBegun: this.hasBegun };
    this.handlers.onEnding(all);
    this.handlers.onEnd(all, failed);
  }
}

interface World {
  readonly life: Life;
  readonly made: StandIn[];
  readonly troubles: string[];
  readonly epitaphs: Epitaph[];
  /** Codes of the process. */
  readonly ends: ('orderly' | 'failed')[];
  /** Set: opening throws it. */
  openError: Error | null;
  /** What is due after a while, and after how long, ms. */
  due: { readonly delayMs: number; readonly fire: () => void } | null;
}

function lifeOf(start: Config['start'], machineOfPeer?: LifePorts['machineOfPeer']): World {
  const made: StandIn[] = [];
  const world = {
    made,
    troubles: [],
    epitaphs: [],
    ends: [],
    openError: null,
    due: null,
  } as unknown as World;
  const ports: LifePorts = {
    certificate: () => ({ notAfter: '2030-01-01T00:00:00.000Z', trouble: null }),
    machineOfPeer: machineOfPeer ?? (() => Promise.resolve(OF_PEER)),
    open: (_request, machine, handlers) => {
      if (world.openError !== null) return Promise.reject(world.openError);
      const standIn = new StandIn(`nonce${made.length}`, machine, handlers, start);
      made.push(standIn);
      return Promise.resolve({ assembly: standIn.asAssembly, answer: ANSWER });
    },
    after: (delayMs, fire) => {
      const due = { delayMs, fire };
      world.due = due;
      return () => {
        if (world.due === due) world.due = null;
      };
    },
  };
  const config = { vm: 'db1-0a1b2c3d', vmi: 'db1-77aa', start, cpuModel: 'EPYC', mac: null };
  const life = new Life(config, POD, ports, {
    onChange: () => undefined,
    onTrouble: ({ reason }) => world.troubles.push(reason),
    onEnding: (epitaph) => world.epitaphs.push(epitaph),
    onEnd: (orderly) => world.ends.push(orderly ? 'orderly' : 'failed'),
  });
  return Object.assign(world, { life });
}

const words = (answer: StartAnswer): string => ('refused' in answer ? answer.refused : 'was let through');

/** The newest incarnation. */
function newest({ made }: World): StandIn {
  const last = made.at(-1);
  if (last === undefined) throw new Error('nothing was started');
  return last;
}

async function running(start: Config['start']): Promise<World> {
  const world = lifeOf(start);
  expect(await world.life.answer(REQUEST)).to.equal(ANSWER);
  newest(world).begin();
  return world;
}

const FAILED = { reason: 'engineFailed', detail: 'QEMU is gone', onPurpose: false } as const;

describe('the life of a sidecar in a launcher pod', () => {
  it('waits, prepares, starts and runs a primary: the machine is what libvirt asks for', async () => {
    const world = lifeOf(PRIMARY);
    const { life } = world;
    expect(life.status()).to.include({ stage: 'waiting', nonce: null, host: 'worker', phase: 'founding' });
    expect(life.machine()).to.equal(null);
    expect(await life.metrics()).to.equal('');
    expect(await life.answer(REQUEST)).to.equal(ANSWER);
    expect(newest(world).isFollowing).to.equal(true);
    expect(life.status()).to.include({ stage: 'starting', nonce: 'nonce0' });
    expect(life.machine(), 'not before QEMU has opened its log').to.equal(null);
    newest(world).begin();
    expect(life.status()).to.include({ stage: 'running', trouble: null });
    expect(life.machine()).to.deep.equal({ argv: [...REQUEST.argv], cpuModel: 'EPYC', mac: null });
    expect(await life.metrics()).to.equal('of nonce0\n');
  });

  it("a backup runs its primary's machine, and hands it on when it has become the primary", async () => {
    const world = await running(BACKUP);
    expect(newest(world).machine).to.equal(OF_PEER);
    expect(world.life.machine(), 'a backup is nobody to follow').to.equal(null);
    newest(world).role = 'primary';
    expect(world.life.machine()).to.equal(OF_PEER);
  });

  it('refuses with the reason, shows it, and tries again when libvirt does', async () => {
    const world = lifeOf(PRIMARY);
    world.openError = new Refusal('noUserfaultfd', 'set vm.unprivileged_userfaultfd=1 on this node');
    expect(words(await world.life.answer(REQUEST))).to.include('vm.unprivileged_userfaultfd');
    expect(world.life.status().stage).to.equal('waiting');
    expect(world.life.status().trouble).to.include({ reason: 'noUserfaultfd' });
    world.openError = Object.assign(new Error('two processors'), { code: 'ARGV_SMP' });
    expect(words(await world.life.answer(REQUEST))).to.equal('two processors');
    expect(world.life.status().trouble).to.include({ reason: 'ARGV_SMP' });
    world.openError = null;
    expect(await world.life.answer(REQUEST)).to.equal(ANSWER);
    newest(world).begin();
    expect(world.life.status().trouble).to.equal(null);
    expect(world.troubles).to.deep.equal(['noUserfaultfd', 'ARGV_SMP']);
    expect(world.ends).to.deep.equal([]);
  });

  it('gives each start of QEMU an incarnation of its own, and ends the one that came to nothing', async () => {
    const world = lifeOf(PRIMARY);
    await world.life.answer(REQUEST);
    expect(await world.life.answer(REQUEST)).to.equal(ANSWER);
    expect(world.made.map(({ abandoned }) => abandoned)).to.deep.equal(['libvirt starts it anew', null]);
    expect(world.life.status()).to.include({ stage: 'starting', nonce: 'nonce1' });
    expect(world.due, 'the first one has come to nothing, but this one is under way').to.equal(null);
    newest(world).end({ ...FAILED, detail: 'UNKNOWN_QEMU' });
    expect(world.life.status()).to.include({ stage: 'waiting', nonce: null });
    expect(world.life.status().trouble?.message).to.include('UNKNOWN_QEMU');
    expect(world.ends).to.deep.equal([]);
  });

  it('ends when nobody starts it again after a start that came to nothing: only a new pod can help', async () => {
    const refused = lifeOf(PRIMARY);
    refused.openError = new Refusal('noUserfaultfd', 'set vm.unprivileged_userfaultfd=1 on this node');
    const failed = lifeOf(BACKUP);
    await refused.life.answer(REQUEST);
    await failed.life.answer(REQUEST);
    newest(failed).end({ ...FAILED, detail: 'UNKNOWN_QEMU' });
    for (const [world, reason, words] of [
      [refused, 'noUserfaultfd', 'vm.unprivileged_userfaultfd'],
      [failed, 'qemuFailed', 'UNKNOWN_QEMU'],
    ] as const) {
      expect(world.due?.delayMs).to.equal(START_AGAIN_MS_MAX);
      expect(world.ends).to.deep.equal([]);
      world.due?.fire();
      expect(world.epitaphs).to.have.length(1);
      expect(world.epitaphs[0]).to.include({ reason, nonce: null });
      expect(world.epitaphs[0]?.detail).to.include(words);
      expect(world.ends).to.deep.equal(['failed']);
    }
  });

  it('does not end for want of a start while one is under way, or while its QEMU runs', async () => {
    const world = lifeOf(PRIMARY);
    world.openError = new Refusal('noUserfaultfd', 'set vm.unprivileged_userfaultfd=1 on this node');
    await world.life.answer(REQUEST);
    world.openError = null;
    const answer = world.life.answer(REQUEST);
    expect(world.due).to.equal(null);
    await answer;
    expect(world.due).to.equal(null);
    newest(world).begin();
    expect(words(await world.life.answer(REQUEST))).to.include('runs here already');
    expect(world.due).to.equal(null);
    expect(world.ends).to.deep.equal([]);
  });

  it('does not try for ever', async () => {
    const world = lifeOf(PRIMARY);
    for (let start = 0; start < FAILED_STARTS_MAX; start += 1) {
      expect(await world.life.answer(REQUEST)).to.equal(ANSWER);
      newest(world).end({ ...FAILED, detail: `failure ${start}` });
    }
    expect(words(await world.life.answer(REQUEST))).to.include(`failure ${FAILED_STARTS_MAX - 1}`);
    expect(world.life.status().trouble).to.include({ reason: 'startsExhausted' });
    expect(world.made).to.have.length(FAILED_STARTS_MAX);
  });

  it('ends with the incarnation, and a later start is refused with words', async () => {
    for (const [ending, end] of [
      [FAILED, 'failed'],
      [{ reason: 'vmNotRunning', detail: 'the guest switched itself off', onPurpose: true }, 'orderly'],
    ] as const) {
      const world = await running(PRIMARY);
      newest(world).end(ending);
      expect(world.ends).to.deep.equal([end]);
      expect(world.epitaphs).to.deep.equal([
        { reason: ending.reason, detail: ending.detail, nonce: 'nonce0', epoch: 7 },
      ]);
      expect(world.life.status()).to.include({ stage: 'ended', role: 'ended', nonce: 'nonce0' });
      expect(words(await world.life.answer(REQUEST)))
        .to.include(ending.detail)
        .and.to.include('new pod');
      expect(world.life.command('stop')).to.include(ending.detail);
      expect(world.life.machine()).to.equal(null);
      expect(world.made).to.have.length(1);
      expect(world.ends).to.have.length(1);
    }
  });

  it('is not orderly when its QEMU could not be ended in order', async () => {
    const world = await running(PRIMARY);
    newest(world).end({ reason: 'userAction', detail: 'stopped', onPurpose: true }, true);
    expect(world.ends).to.deep.equal(['failed']);
  });

  it('takes orders when it runs, and before only the one to stop', async () => {
    const world = lifeOf(PRIMARY);
    expect(world.life.command('protect')).to.include('not started yet');
    await world.life.answer(REQUEST);
    newest(world).begin();
    for (const command of ['test-failover', 'protect', 'unprotect', 'stop'] as const)
      expect(world.life.command(command)).to.equal(null);
    expect(newest(world).commands).to.deep.equal([
      'commandFailover',
      'commandProtection',
      'commandProtection',
      'commandStop',
    ]);
    expect(world.ends, 'the protocol says when it is over').to.deep.equal([]);
  });

  it('stopped before anything ran: over, in order', async () => {
    const waiting = lifeOf(PRIMARY);
    expect(waiting.life.command('stop')).to.equal(null);
    expect(waiting.ends).to.deep.equal(['orderly']);
    const starting = lifeOf(PRIMARY);
    await starting.life.answer(REQUEST);
    expect(starting.life.command('stop')).to.equal(null);
    expect(newest(starting).abandoned).to.equal('stopped by command');
    expect(starting.ends).to.deep.equal(['orderly']);
    expect(starting.epitaphs).to.have.length(1);
  });

  it('stopped while QEMU waits at the door: that is refused first', async () => {
    const order: string[] = [];
    const world = lifeOf(
      BACKUP,
      (signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')));
        }),
    );
    const answered = world.life.answer(REQUEST).then((answer) => order.push(words(answer)));
    await nextTurn();
    expect(world.life.status().stage).to.equal('preparing');
    expect(world.life.terminate()).to.equal(true);
    expect(world.ends, 'not before the door has its answer').to.deep.equal([]);
    await answered;
    expect(order.join()).to.include('the pod was ended before QEMU ran');
    expect(world.ends).to.deep.equal(['failed']);
    expect(world.epitaphs[0]).to.include({ reason: 'neverRan' });
  });

  it('SIGTERM: leaves when nothing runs, stays with a guest until that ends', async () => {
    const waiting = lifeOf(PRIMARY);
    expect(waiting.life.terminate()).to.equal(true);
    expect(waiting.ends).to.deep.equal(['failed']);
    const world = await running(PRIMARY);
    expect(world.life.terminate()).to.equal(false);
    expect(newest(world).commands, 'the VM was not switched off: its peer takes over').to.deep.equal([]);
    newest(world).end(FAILED);
    expect(world.ends).to.deep.equal(['failed']);
    const starting = lifeOf(PRIMARY);
    await starting.life.answer(REQUEST);
    expect(starting.life.terminate()).to.equal(false);
    newest(starting).end(FAILED);
    expect(starting.epitaphs[0]).to.include({ reason: 'neverRan' });
    expect(starting.ends).to.deep.equal(['failed']);
  });

  it('hands renewed keys to what runs', async () => {
    const world = await running(PRIMARY);
    const tls = { ca: 'a', cert: 'b', key: 'c' };
    world.life.useTls(tls);
    expect(newest(world).keys).to.deep.equal([tls]);
    lifeOf(PRIMARY).life.useTls(tls); // nothing runs there: nobody to tell
  });

  it('refuses a second QEMU beside one that runs', async () => {
    const world = await running(PRIMARY);
    expect(words(await world.life.answer(REQUEST))).to.include('runs here already');
    expect(newest(world).abandoned).to.equal(null);
    expect(world.life.status().stage).to.equal('running');
  });
});
