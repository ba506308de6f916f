// SPDX-License-Identifier: Apache-2.0
// A local pair to measure on: brought up, protected, broken and repaired as a measurement wants it.
import { agentStop } from '../../cli/local/agent-api.js';
import { appendEvent } from '../../cli/local/events.js';
import { GUEST_PORTS, hostOf, pairLayout, type HostLayout } from '../../cli/local/layout.js';
import { setCable } from '../../cli/local/network.js';
import {
  DEFAULT_CHOICE,
  DEFAULT_MACHINE,
  makeSettings,
  refuseRunning,
  takeDown,
} from '../../cli/local/pair.js';
import { runningFrom } from '../../cli/local/processes.js';
import { loadDesired, saveDesired, type Pair } from '../../cli/local/settings.js';
import { pairStatus, type HostStatus, type PairStatus } from '../../cli/local/status.js';
import { describe } from '../../cli/verbs/protect.js';
import { upPair } from '../../cli/verbs/up.js';
import type { Cleanup } from '../cleanup.js';
import { BenchError } from '../errors.js';
import { monotonicMs } from '../station/messages.js';
import { Station } from '../station/station.js';
import { until } from '../wait.js';
import { viewSidecar, type SidecarView } from './view.js';

const GUEST_READY_MS_MAX = 120_000;
const PROTECT_MS_MAX = 120_000;
const TAKE_OVER_MS_MAX = 30_000;

/** One moment on two clocks. */
export interface Moment {
  /** CLOCK_MONOTONIC, ms. */
  readonly monotonicMs: number;
  /** Since 1970, ms. */
  readonly wallMs: number;
}

export const thisMoment = (): Moment => ({
  monotonicMs: monotonicMs(),
  wallMs: performance.timeOrigin + performance.now(),
});

export class PairRig {
  private constructor(
    readonly pair: Pair,
    readonly station: Station,
    /** Takes it down; also called when the run ends. */
    readonly down: () => Promise<void>,
  ) {}

  static async up(cleanup: Cleanup, name: string, memoryMiB: number): Promise<PairRig> {
    const layout = pairLayout(name);
    const machine = { ...DEFAULT_MACHINE, memoryMiB };
    const pair: Pair = { layout, settings: makeSettings(layout, { ...DEFAULT_CHOICE, machine }) };
    await refuseRunning(layout);
    const takePairDown = cleanup.add(() => takeDown(layout));
    await upPair(pair, GUEST_READY_MS_MAX, true);
    const station = new Station({
      host: layout.guest.ip,
      redisPort: layout.guest.redisPort,
      commandPort: GUEST_PORTS.command,
      netns: layout.client.netns,
    });
    const killStation = cleanup.add(() => station.kill());
    return new PairRig(pair, station, async () => {
      await killStation();
      await takePairDown();
    });
  }

  status(): Promise<PairStatus> {
    return pairStatus(this.pair);
  }

  /** Switches protection on and waits for it; also after a failover. */
  async protect(): Promise<PairStatus> {
    await this.#want(true);
    return this.#until('protection', PROTECT_MS_MAX, (status) => status.status === 'Protected');
  }

  /** Switches protection off, ends the backup, and waits until the primary runs alone. */
  async unprotect(): Promise<PairStatus> {
    await this.#want(false);
    const { backup } = await this.status();
    if (backup !== null) await agentStop(this.host(backup));
    return this.#until('an unprotected VM', TAKE_OVER_MS_MAX, (status) => {
      const [first, ...more] = status.hosts.filter((host) => host.kind !== 'idle');
      return more.length === 0 && first?.kind === 'alone';
    });
  }

  /** Waits until another host than `from` runs the VM. */
  moved(from: string): Promise<PairStatus> {
    return this.#until(
      'the take-over',
      TAKE_OVER_MS_MAX,
      ({ primary }) => primary !== null && primary !== from,
    );
  }

  host(name: string): HostLayout {
    return hostOf(this.pair.layout, name);
  }

  /** SIGKILL to the host's pid 1, with which all that runs on it dies. Returns when the signal was sent. */
  async kill(name: string): Promise<Moment> {
    const host = this.host(name);
    const id = await runningFrom(host.agentPid);
    if (id === undefined) throw new BenchError(`host ${name} has no power`);
    const at = thisMoment();
    process.kill(id.pid, 'SIGKILL');
    appendEvent(this.pair.layout.events, 'HostKilled', name, 'by a measurement');
    return at;
  }

  /** Pulls or plugs the host's network cable. Returns when that began. */
  async cable(name: string, plugged: boolean): Promise<Moment> {
    const at = thisMoment();
    await setCable(this.pair.layout, this.host(name), plugged);
    return at;
  }

  async sidecar(name: string | null): Promise<SidecarView> {
    return viewSidecar((await this.hostStatus(name)).controlSocket ?? '');
  }

  async hostStatus(name: string | null): Promise<HostStatus> {
    const { hosts } = await this.status();
    const found = hosts.find((host) => host.name === name);
    if (!found?.controlSocket) throw new BenchError(`host ${name ?? '?'} runs nothing`);
    return found;
  }

  async #want(wanted: boolean): Promise<void> {
    const { layout } = this.pair;
    await saveDesired(layout, { ...(await loadDesired(layout)), protected: wanted });
  }

  #until(what: string, timeoutMs: number, holds: (status: PairStatus) => boolean): Promise<PairStatus> {
    let last = '';
    const look = async () => {
      const status = await this.status();
      last = describe(status);
      return holds(status) ? status : null;
    };
    return until(what, timeoutMs, look, () => last);
  }
}
