// SPDX-License-Identifier: Apache-2.0
// A whole pair for a test: hosts, lease store, controller and a running guest, made by the product's own library.
import { Client, serverOf } from '../../../cli/demo/client.js';
import { cutPower } from '../../../cli/local/hosts.js';
import { lifeOf, makeImagesReady } from '../../../cli/local/disks.js';
import { hostOf, pairLayout, type HostLayout, type PairLayout } from '../../../cli/local/layout.js';
import {
  bringUp,
  DEFAULT_CHOICE,
  DEFAULT_MACHINE,
  makeSettings,
  takeDown,
  type MachineChoice,
  type PairChoice,
} from '../../../cli/local/pair.js';
import { loadDesired, saveDesired, type Pair } from '../../../cli/local/settings.js';
import { pairStatus, type HostStatus, type PairStatus } from '../../../cli/local/status.js';
import { guestReady, startFirst } from '../../../cli/local/vm.js';
import { until } from './wait.js';

/** The guest's console says something this often, so that two sides' consoles soon have much to compare. */
export const TICK_MS = 50;

/** For tests that are not about detection: a machine that stands still for a second is not taken for a dead host. */
export const PATIENT = { limits: { deadAfterMs: 2_000 } };

const GUEST_READY_MS_MAX = 120_000;
const PROTECTED_MS_MAX = 120_000;
const TAKE_OVER_MS_MAX = 60_000;

export interface TestPairChoice extends Partial<Omit<PairChoice, 'machine'>> {
  readonly machine?: Partial<MachineChoice>;
  readonly hosts?: number;
  /** Done to the hosts before the VM starts. */
  readonly prepare?: (layout: PairLayout) => Promise<void>;
}

/** What a status says, in a line. */
export function words(status: PairStatus | undefined): string {
  if (status === undefined) return 'no status yet';
  const hosts = status.hosts.map((host) => `${host.name} ${host.phase ?? host.kind}`).join(', ');
  return `${status.status} ${status.state ?? ''} ${status.reason ?? ''} epoch ${status.epoch ?? '-'} (${hosts})`;
}

/** An incarnation whose files and processes are known. */
export interface Side {
  readonly host: HostLayout;
  readonly nonce: string;
  readonly serialFile: string;
  readonly ringFile: string;
  readonly sidecarPid: number;
  readonly qemuPid: number;
}

export class TestPair {
  private constructor(readonly pair: Pair) {}

  /** Brings the pair up, and returns when the guest on its first host serves. Not protected yet. */
  static async up(name: string, choice: TestPairChoice = {}): Promise<TestPair> {
    const layout = pairLayout(name, choice.hosts);
    const machine = { ...DEFAULT_MACHINE, append: `lockstep.tick_ms=${TICK_MS}`, ...choice.machine };
    const settings = makeSettings(layout, { ...DEFAULT_CHOICE, ...choice, machine });
    const [first] = layout.hosts;
    if (first === undefined) throw new Error('a pair without hosts');
    const made = new TestPair({ layout, settings });
    await takeDown(layout); // of a run that was interrupted: its controller may still be there
    await bringUp(made.pair, () => undefined);
    await choice.prepare?.(layout);
    makeImagesReady(made.pair, first);
    const { incarnation } = await startFirst(first, lifeOf(made.pair));
    if (incarnation === null) throw new Error(`host ${first.name} runs nothing`);
    await until('the guest', GUEST_READY_MS_MAX, async () =>
      (await guestReady(incarnation.serialFile)) ? true : undefined,
    );
    return made;
  }

  /** A client inside the pair's network that does INCR over one connection, and checks each reply. */
  client(pauseMs = 2): Client {
    return new Client(serverOf(this.pair.layout), pauseMs);
  }

  host(name: string): HostLayout {
    return hostOf(this.pair.layout, name);
  }

  status(): Promise<PairStatus> {
    return pairStatus(this.pair);
  }

  /** Waits until the status is such. */
  async until(
    what: string,
    holds: (status: PairStatus) => boolean,
    timeoutMs = TAKE_OVER_MS_MAX,
  ): Promise<PairStatus> {
    let last: PairStatus | undefined;
    return until(
      what,
      timeoutMs,
      async () => {
        last = await this.status();
        return holds(last) ? last : undefined;
      },
      () => words(last),
    );
  }

  /** Whether the controller shall make backups. */
  async wantProtection(on: boolean): Promise<void> {
    const desired = await loadDesired(this.pair.layout);
    await saveDesired(this.pair.layout, { ...desired, protected: on });
  }

  /** Has the controller make a backup, and waits for it. */
  async protect(): Promise<PairStatus> {
    await this.wantProtection(true);
    return this.until('protection', (status) => status.status === 'Protected', PROTECTED_MS_MAX);
  }

  /** The side that runs the VM. */
  async primary(): Promise<Side> {
    const status = await this.status();
    return this.sideOf(status, status.primary);
  }

  async backup(): Promise<Side> {
    const status = await this.status();
    return this.sideOf(status, status.backup);
  }

  /** Cuts the power of a host: SIGKILL to all that runs on it. */
  kill(host: HostLayout): Promise<void> {
    return cutPower(this.pair.layout, host);
  }

  /** Waits until the VM runs on this side, which was the backup before. */
  untilLive(side: Side): Promise<PairStatus> {
    return this.until(`host ${side.host.name} goes live`, ({ primary, hosts }) => {
      const host = hosts.find((one) => one.name === side.host.name);
      return primary === side.host.name && host?.nonce === side.nonce;
    });
  }

  down(): Promise<void> {
    return takeDown(this.pair.layout);
  }

  private sideOf(status: PairStatus, name: string | null): Side {
    const found = status.hosts.find((host) => host.name === name);
    if (found === undefined) throw new Error(`no such side: ${words(status)}`);
    return sideOf(this.host(found.name), found);
  }
}

function sideOf(host: HostLayout, status: HostStatus): Side {
  const { nonce, serialFile, ringFile, sidecarPid, qemuPid } = status;
  if (nonce === null || serialFile === null || ringFile === null || sidecarPid === null || qemuPid === null) {
    throw new Error(`host ${host.name} runs nothing whole`);
  }
  return { host, nonce, serialFile, ringFile, sidecarPid, qemuPid };
}
