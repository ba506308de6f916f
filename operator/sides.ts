// SPDX-License-Identifier: Apache-2.0
/**
 * What the sidecars say: one watch for each launcher pod, for ever connected again, and the last word of each as long as
 * it is fresh. Each change wakes the VM's reconcile.
 */
import type { ChannelTls } from '../sidecar/io/channel/tls.js';
import { CallError, SidecarClient, type Command } from '../sidecar/kubevirt/client.js';
import { PORTS } from '../sidecar/kubevirt/config.js';
import type { VmiStatus } from '../sidecar/observe/status-schema.js';
import { pause, type Random, type Time } from './kit/time.js';

/** A sidecar says something at least once a second; one that says nothing for so long does not answer. */
const FRESH_MS = 3_000;
const SILENCE_MS_MAX = 3_000;
const RECONNECT_MS_MIN = 200;
const RECONNECT_MS_MAX = 5_000;

/** Where a side's sidecar is. */
export interface Station {
  readonly podUid: string;
  readonly host: string;
  /** What its certificate must name. */
  readonly vmId: string;
  /** The VM's key, to be woken. */
  readonly key: string;
}

/** The part of SidecarClient that is used here. */
export type SideClient = Pick<SidecarClient, 'watch' | 'command'>;

export interface SidesOptions {
  readonly time: Time;
  readonly random: Random;
  readonly tls: () => ChannelTls;
  readonly wake: (key: string) => void;
  readonly connect?: (station: Station, tls: () => ChannelTls) => SideClient;
}

const realClient = ({ host, vmId }: Station, tls: () => ChannelTls): SideClient =>
  new SidecarClient({ host, port: PORTS.api, vm: vmId, tls, silenceMsMax: SILENCE_MS_MAX });

class SideWatch {
  readonly client: SideClient;
  /** Something was heard, or an attempt to hear something has failed: not knowing is an answer now. */
  asked = false;
  #last: VmiStatus | null = null;
  /** Of its last word, or of the beginning. */
  #heardMs: number;
  #shown = '';
  readonly #stop = new AbortController();

  constructor(
    readonly station: Station,
    private readonly options: SidesOptions,
  ) {
    this.client = (options.connect ?? realClient)(station, options.tls);
    this.#heardMs = options.time.now();
  }

  get silentMs(): number {
    return this.options.time.now() - this.#heardMs;
  }

  get status(): VmiStatus | null {
    return this.silentMs > FRESH_MS ? null : this.#last;
  }

  async run(): Promise<void> {
    const { signal } = this.#stop;
    let pauseMs = RECONNECT_MS_MIN;
    while (!signal.aborted) {
      try {
        await this.client.watch((status) => {
          pauseMs = RECONNECT_MS_MIN;
          this.#heard(status);
        }, signal);
      } catch (error) {
        if (!(error instanceof CallError)) throw error;
      }
      this.#lost();
      await pause(this.options.time, pauseMs * (0.5 + this.options.random()), signal);
      pauseMs = Math.min(2 * pauseMs, RECONNECT_MS_MAX);
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  #heard(status: VmiStatus): void {
    this.#last = status;
    this.#heardMs = this.options.time.now();
    this.asked = true;
    const shown = essenceOf(status);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.options.wake(this.station.key);
  }

  /** What it said last counts until it is stale; then the VM is looked at again. */
  #lost(): void {
    const first = !this.asked;
    this.asked = true;
    if (first) this.options.wake(this.station.key);
    if (this.#last === null) return;
    const shown = this.#shown;
    this.options.time.after(FRESH_MS + 1, () => {
      if (this.status !== null || this.#shown !== shown) return;
      this.#shown = '';
      this.options.wake(this.station.key);
    });
  }
}

/** What a decision is made of: numbers move all the time. */
const essenceOf = ({
  stage,
  role,
  phase,
  epoch,
  nonce,
  peer,
  protection,
  lease,
  trouble,
}: VmiStatus): string => JSON.stringify([stage, role, phase, epoch, nonce, peer, protection, lease, trouble]);

export class Sides {
  readonly #watches = new Map<string, SideWatch>();

  constructor(
    private readonly options: SidesOptions,
    /** A mistake in this program: nobody else would see it. */
    private readonly onBroken: (error: unknown) => void,
  ) {}

  /** Watches this pod from now on, if it was not before. */
  follow(station: Station): void {
    const known = this.#watches.get(station.podUid);
    if (known?.station.host === station.host) return;
    known?.stop();
    const watch = new SideWatch(station, this.options);
    this.#watches.set(station.podUid, watch);
    watch.run().catch(this.onBroken);
  }

  /** Forgets all pods of this VM but these. */
  keepOnly(key: string, podUids: ReadonlySet<string>): void {
    for (const [uid, watch] of this.#watches) {
      if (watch.station.key !== key || podUids.has(uid)) continue;
      watch.stop();
      this.#watches.delete(uid);
    }
  }

  /** Null when it does not answer. `asked` is false until that means something; `silentMs` says for how long. */
  look(podUid: string): {
    readonly status: VmiStatus | null;
    readonly silentMs: number;
    readonly asked: boolean;
  } {
    const watch = this.#watches.get(podUid);
    if (watch === undefined) return { status: null, silentMs: 0, asked: false };
    return { status: watch.status, silentMs: watch.silentMs, asked: watch.asked };
  }

  /** @throws CallError */
  async order(podUid: string, command: Command): Promise<void> {
    const watch = this.#watches.get(podUid);
    if (watch === undefined) throw new CallError('UNREACHABLE', `no sidecar is known in pod ${podUid}`);
    await watch.client.command(command);
  }

  stop(): void {
    for (const watch of this.#watches.values()) watch.stop();
    this.#watches.clear();
  }
}
