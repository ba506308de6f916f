// SPDX-License-Identifier: Apache-2.0
// A pair on which faults are played, one after the other: what a row of the matrix does and looks at.
import { spawn, type ChildProcess } from 'node:child_process';
import { open } from 'node:fs/promises';
import type { Client } from '../../../cli/demo/client.js';
import { bootHost, cutPower } from '../../../cli/local/hosts.js';
import type { HostLayout } from '../../../cli/local/layout.js';
import { identify, isAlive, placed, type ProcessId } from '../../../cli/local/processes.js';
import { loadDesired, saveDesired } from '../../../cli/local/settings.js';
import type { HostStatus, PairStatus } from '../../../cli/local/status.js';
import { coldStart, guestReady } from '../../../cli/local/vm.js';
import { Ring, type RingSnapshot } from '../../../native/addon/index.js';
import { guestStarts } from '../support/guest.js';
import { TestPair, words, type Side } from '../support/pair.js';
import { until } from '../support/wait.js';
import { Frozen, healNetwork } from './host-faults.js';
import { StoreFaults } from './store-faults.js';
import { Wire } from './wire.js';

/** The client asks so seldom that the guest is idle most of the time, and so often that a gap shows. */
const PAUSE_MS = 10;
const OUTCOME_MS_MAX = 30_000;
const GUEST_START_MS_MAX = 120_000;
const REPLIES_AFTER = 20;
/** A guest that is held may end the turn that it is in. */
const HELD_AFTER_MS = 1000;

/** A side with its two processes named for ever. */
export interface Watched extends Side {
  readonly sidecar: ProcessId;
  readonly qemu: ProcessId;
}

export interface Sides {
  readonly primary: Watched;
  readonly backup: Watched;
  readonly epoch: number;
}

async function named(pid: number): Promise<ProcessId> {
  const id = await identify(pid);
  if (id === undefined) throw new Error(`process ${pid} is gone`);
  return id;
}

async function watched(side: Side): Promise<Watched> {
  return { ...side, sidecar: await named(side.sidecarPid), qemu: await named(side.qemuPid) };
}

export function snapshotOf(side: Side): RingSnapshot {
  const ring = Ring.open(side.ringFile, { readOnly: true });
  try {
    return ring.snapshot();
  } finally {
    ring.close();
  }
}

const EVENT_KIND_OF_NO_LOG = 0xff;
const CONTROL_PAGE_BYTES = 4096;
const CORRUPT_BYTES_MAX = 256;

/** Overwrites the log that this side replays next. Its QEMU must stand still. Returns how many bytes. */
export async function corruptLog(side: Side): Promise<number> {
  const { consumed, produced, ringBytes } = snapshotOf(side);
  const end = Math.min(produced, consumed + CORRUPT_BYTES_MAX);
  const file = await open(side.ringFile, 'r+');
  try {
    for (let lsn = consumed; lsn < end; lsn++) {
      await file.write(Buffer.of(EVENT_KIND_OF_NO_LOG), 0, 1, CONTROL_PAGE_BYTES + (lsn % ringBytes));
    }
  } finally {
    await file.close();
  }
  return end - consumed;
}

/** Sets and gets in the guest, as fast as it can, over connections of their own. */
class Load {
  private constructor(private readonly process: ChildProcess) {}

  static begin({ pair }: TestPair): Load {
    const { guest, client } = pair.layout;
    const words = ['-h', guest.ip, '-p', String(guest.redisPort), '-c', '2', '-d', '400', '-t', 'set,get'];
    const command = ['redis-benchmark', ...words, '-n', '1000000000', '-q'];
    const [file = '', ...args] = placed(command, { netns: client.netns });
    return new Load(spawn(file, args, { stdio: 'ignore' }));
  }

  get broken(): boolean {
    return this.process.exitCode !== null;
  }

  end(): void {
    this.process.kill('SIGKILL');
  }
}

export class Stage {
  readonly store: StoreFaults;
  #client: Client;
  #load: Load | null = null;
  readonly #frozen: Frozen[] = [];

  private constructor(
    readonly pair: TestPair,
    store: StoreFaults,
  ) {
    this.store = store;
    this.#client = pair.client(PAUSE_MS);
  }

  static async up(name: string): Promise<Stage> {
    const pair = await TestPair.up(name);
    return new Stage(pair, await StoreFaults.of(pair.pair.layout));
  }

  async down(): Promise<void> {
    this.#load?.end();
    this.#client.kill();
    for (const one of this.#frozen) one.thaw();
    await this.pair.down();
  }

  // ---- before a fault ----

  /** A protected pair, with its processes. */
  async protected(): Promise<Sides> {
    const status = await this.pair.protect();
    const [primary, backup] = [await this.pair.primary(), await this.pair.backup()];
    return { primary: await watched(primary), backup: await watched(backup), epoch: status.epoch ?? 0 };
  }

  /** The VM alone on a host; the other one has no power, and stays so until `power`. */
  async unprotected(): Promise<Watched> {
    const { primary, backup } = await this.protected();
    await this.setPower(backup.host, false);
    await this.alone(primary);
    return primary;
  }

  /** A backup that is being cloned just now. */
  async cloning(): Promise<{ primary: Watched; backup: Watched }> {
    const { primary, backup } = await this.protected();
    await this.pair.kill(backup.host);
    await this.pair.until('a clone', ({ hosts }) => hosts.some((host) => host.phase === 'cloning'));
    const clone = await this.pair.until('the backup to be', (status) => status.backup !== null);
    const side = clone.hosts.find((host) => host.name === clone.backup);
    return { primary, backup: await watched(this.#side(side)) };
  }

  async setPower(host: HostLayout, on: boolean): Promise<void> {
    const { layout } = this.pair.pair;
    const desired = await loadDesired(layout);
    const others = desired.poweredOff.filter((name) => name !== host.name);
    await saveDesired(layout, { ...desired, poweredOff: on ? others : [...others, host.name] });
    if (on) await bootHost(layout, host);
    else await cutPower(layout, host);
  }

  loaded(on: boolean): void {
    this.#load?.end();
    this.#load = on ? Load.begin(this.pair) : null;
  }

  // ---- faults that must end with the row ----

  async freezeHost(host: HostLayout): Promise<Frozen> {
    return this.#keep(await Frozen.host(host));
  }

  async freezeHosts(hosts: readonly HostLayout[]): Promise<Frozen[]> {
    return (await Frozen.hosts(hosts)).map((frozen) => this.#keep(frozen));
  }

  freeze(id: ProcessId): Frozen {
    return this.#keep(Frozen.processes([id.pid]));
  }

  // ---- outcomes ----

  /** This side runs the VM. */
  async owns(side: Side, also: (status: HostStatus) => boolean = () => true): Promise<PairStatus> {
    return this.pair.until(
      `host ${side.host.name} owns the VM`,
      ({ primary, hosts }) => {
        const host = hosts.find((one) => one.name === side.host.name);
        return primary === side.host.name && host?.nonce === side.nonce && also(host);
      },
      OUTCOME_MS_MAX,
    );
  }

  /** This side runs the VM, and nobody protects it any more. */
  alone(side: Side): Promise<PairStatus> {
    return this.owns(side, (host) => host.phase !== 'protected');
  }

  /**
   * One of two runs the VM; returns it first. A side that still believes itself protected has won nothing yet: the
   * hosts are not looked at in the same moment.
   */
  async oneOwns({
    primary,
    backup,
  }: Pick<Sides, 'primary' | 'backup'>): Promise<[winner: Watched, loser: Watched]> {
    const owns = ({ hosts }: PairStatus, side: Side): boolean =>
      hosts.some(({ nonce, kind }) => nonce === side.nonce && (kind === 'alone' || kind === 'pairing'));
    const status = await this.pair.until(
      'one side to win',
      (now) => owns(now, primary) || owns(now, backup),
      OUTCOME_MS_MAX,
    );
    return owns(status, primary) ? [primary, backup] : [backup, primary];
  }

  /** Its sidecar and its QEMU have ended. */
  async gone(side: Watched): Promise<void> {
    await until(
      `host ${side.host.name} ends its incarnation`,
      OUTCOME_MS_MAX,
      async () => ((await isAlive(side.sidecar)) || (await isAlive(side.qemu)) ? undefined : true),
      () => `sidecar ${side.sidecar.pid}, QEMU ${side.qemu.pid}`,
    );
  }

  /** The same connection goes on: so many replies more, each the one that is due. Returns its longest wait. */
  async serves(replies = REPLIES_AFTER): Promise<number> {
    let seen = 0;
    let worstMs = 0;
    await until('the client goes on', OUTCOME_MS_MAX, async () => {
      const window = await this.#client.window();
      seen += window.replies;
      worstMs = Math.max(worstMs, window.worstMs);
      return seen >= replies ? true : undefined;
    });
    if (this.#load?.broken === true) throw new Error("the load's connections broke");
    return worstMs;
  }

  /** The guest of this side executes nothing. */
  async held(side: Side): Promise<void> {
    let before = -1n;
    await until('the guest stands still', OUTCOME_MS_MAX, async () => {
      const now = snapshotOf(side).icount;
      const still = now === before;
      before = now;
      await this.passes(HELD_AFTER_MS);
      return still ? true : undefined;
    });
  }

  /** For so long this must hold, at each look. */
  async staysSo(what: string, forMs: number, holds: (status: PairStatus) => boolean): Promise<void> {
    const end = performance.now() + forMs;
    while (performance.now() < end) {
      const status = await this.pair.status();
      if (!holds(status)) throw new Error(`${what}: not any more. ${words(status)}`);
      await this.passes(100);
    }
  }

  /** Lets time pass: a fault has a length, it is nothing that is waited for. */
  passes(ms: number): Promise<void> {
    return new Promise((done) => setTimeout(done, ms));
  }

  /**
   * Nobody runs the VM any more: a person starts it again, and the client begins anew. It is not protected before it has
   * booted, or the backup would have the whole boot to catch up with.
   */
  async coldStart(host: HostLayout): Promise<void> {
    this.#client.kill();
    await this.pair.wantProtection(false);
    const { incarnation } = await coldStart(this.pair.pair, host);
    if (incarnation === null) throw new Error('a cold start without incarnation');
    await until('the guest', GUEST_START_MS_MAX, async () =>
      (await guestReady(incarnation.serialFile)) ? true : undefined,
    );
    this.#client = this.pair.client(PAUSE_MS);
  }

  /** The guest resets because of what is done, and comes up again on all these sides; the client begins anew. */
  async startsAnew(sides: readonly Side[], reset: () => Promise<void>): Promise<void> {
    const before = await Promise.all(sides.map(guestStarts));
    this.#client.kill();
    await reset();
    await until('the guest to come up again', GUEST_START_MS_MAX, async () => {
      const starts = await Promise.all(sides.map(guestStarts));
      return starts.every((count, at) => count > (before[at] ?? 0)) ? true : undefined;
    });
    this.#client = this.pair.client(PAUSE_MS);
  }

  /** The row is over: everything is healed, and the controller gets the VM protected again. */
  async recovers(): Promise<PairStatus> {
    for (const one of this.#frozen.splice(0)) one.thaw();
    await healNetwork(this.pair.pair.layout);
    await this.store.heal();
    const { layout } = this.pair.pair;
    const desired = await loadDesired(layout);
    await saveDesired(layout, { ...desired, poweredOff: [] });
    return this.pair.protect();
  }

  /** Forgets what the client saw up to now. */
  async freshWindow(): Promise<void> {
    await this.#client.window();
  }

  watchWire(): Promise<Wire> {
    return Wire.begin(this.pair.pair.layout);
  }

  #keep(frozen: Frozen): Frozen {
    this.#frozen.push(frozen);
    return frozen;
  }

  #side(status: HostStatus | undefined): Side {
    if (!status?.nonce || !status.serialFile || !status.ringFile || !status.sidecarPid || !status.qemuPid) {
      throw new Error('the clone was over before it could be looked at');
    }
    const { nonce, serialFile, ringFile, sidecarPid, qemuPid } = status;
    return { host: this.pair.host(status.name), nonce, serialFile, ringFile, sidecarPid, qemuPid };
  }
}
