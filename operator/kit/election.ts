// SPDX-License-Identifier: Apache-2.0
/**
 * Who of several processes leads, by a Lease. Ask `holds()` before each effect: it asks the clock, so it is right even
 * if this process stood still a moment ago; `lost` may come as late as any other callback.
 *
 * Not covered: a process that stands still between `holds()` and its effect, which nothing but the API server's own
 * preconditions can cover; and a Lease that a person deletes, after which a new process may lead one retry early.
 */
import type { Api } from './api.js';
import { ObjectClient } from './apply.js';
import { makeElectionLimits, type ElectionLimits } from './election-limits.js';
import { isApiError } from './errors.js';
import type { Leader } from './fence.js';
import { LEASES, claimedLease, newLease, recordOf, releasedLease, type Claim, type Lease } from './lease.js';
import type { Ref, Stored } from './object.js';
import { Tenure } from './tenure.js';
import { pause, type Random, type Time } from './time.js';

export type LossReason =
  /** No renewal has succeeded in time. */
  | 'expired'
  /** Somebody else holds the lease. */
  | 'taken'
  /** `stop` was called. */
  | 'stopped';

export type ElectionEvent =
  | { readonly type: 'won' }
  | { readonly type: 'lost'; readonly reason: LossReason }
  | { readonly type: 'following'; readonly holder: string }
  | { readonly type: 'failed'; readonly error: unknown };

export interface ElectionOptions {
  readonly api: Api;
  readonly lease: Ref;
  /** Of this process and no other, also not of the one that it replaces. */
  readonly identity: string;
  readonly time: Time;
  /** Written into the lease for people to read; nothing is decided by it. */
  readonly wallClock: () => Date;
  readonly random: Random;
  readonly limits?: Partial<ElectionLimits>;
  /** We lead. Must not throw. */
  readonly won: () => void;
  /**
   * We lead no more; `holds()` is false already. Begin nothing new, end what runs. The lease is not given back, nor
   * taken again, before the promise returned has settled.
   */
  readonly lost: (reason: LossReason) => void | Promise<void>;
  /** Must not throw. */
  readonly observe?: (event: ElectionEvent) => void;
}

/** A follower comes back up to so much later: not all at the same time. */
const FOLLOWER_JITTER = 0.2;

export class LeaderElection implements Leader {
  readonly #limits: ElectionLimits;
  readonly #tenure: Tenure;
  readonly #client: ObjectClient;
  readonly #stopping = new AbortController();
  #loop: Promise<void> | null = null;
  #leads = false;
  /** As it was last written by us; null when it must be read first. */
  #ours: Stored<Lease> | null = null;
  #afterLoss: Promise<void> = Promise.resolve();
  #cancelExpiry: () => void = () => undefined;
  #followed = '';

  /** @throws ElectionLimitsError */
  constructor(private readonly options: ElectionOptions) {
    this.#limits = makeElectionLimits(options.limits);
    this.#tenure = new Tenure(options.identity, this.#limits);
    this.#client = new ObjectClient(this.#bounded(options.api), { fieldManager: options.identity });
  }

  holds(): boolean {
    return this.#leads && this.#tenure.holds(this.options.time.now());
  }

  start(): void {
    this.#loop ??= this.#campaign();
  }

  /** Ends the lead, waits for what `lost` waits for, and gives the lease back, so that another need not wait. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#lose('stopped');
    await this.#loop;
    await this.#afterLoss;
    const lease = this.#ours;
    this.#ours = null;
    if (lease === null) return;
    await this.#client
      .replace(LEASES, releasedLease(lease, this.options.wallClock()))
      .catch((error: unknown) => this.#tell({ type: 'failed', error }));
  }

  async #campaign(): Promise<void> {
    const { time, random } = this.options;
    while (!this.#stopping.signal.aborted) {
      await this.#afterLoss;
      const lookFirst = this.#ours === null;
      try {
        await this.#round();
      } catch (error) {
        this.#ours = null;
        this.#tell({ type: 'failed', error });
        // Somebody has touched the lease since we wrote it. A leader must know who, not wait.
        if (!lookFirst && isApiError(error, 'Conflict', 'NotFound') && this.holds()) continue;
      }
      const jitter = this.#leads ? 0 : random() * FOLLOWER_JITTER;
      await pause(time, this.#limits.retryMs * (1 + jitter), this.#stopping.signal);
    }
  }

  async #round(): Promise<void> {
    // A leader that knows its lease needs no look at it: the version that it gives is the lock.
    await this.#decide(this.#ours ?? (await this.#client.find<Lease>(LEASES, this.options.lease)));
  }

  async #decide(lease: Stored<Lease> | null): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const move = this.#tenure.move(lease === null ? null : recordOf(lease), this.options.time.now());
    if (move.kind === 'wait' || move.kind === 'take') this.#lose('taken');
    await this.#afterLoss;
    if (move.kind === 'wait') this.#follow(move.holder);
    else if (lease === null) await this.#create();
    else await this.#claim(lease);
  }

  async #create(): Promise<void> {
    const sentMs = this.options.time.now();
    const lease = newLease(this.options.lease, this.#ourClaim());
    const { object, created } = await this.#client.createIfAbsent(LEASES, lease);
    if (created) this.#confirmed(object, sentMs);
    else await this.#decide(object);
  }

  async #claim(lease: Stored<Lease>): Promise<void> {
    const sentMs = this.options.time.now();
    this.#confirmed(await this.#client.replace(LEASES, claimedLease(lease, this.#ourClaim())), sentMs);
  }

  #confirmed(lease: Stored<Lease>, sentMs: number): void {
    const { time } = this.options;
    this.#ours = lease;
    this.#tenure.confirmed(recordOf(lease), sentMs, time.now());
    if (!this.#tenure.holds(time.now()) || this.#stopping.signal.aborted) return;
    this.#armExpiry();
    this.#win();
  }

  #ourClaim(): Claim {
    const { identity, wallClock } = this.options;
    return { identity, durationMs: this.#limits.leaseDurationMs, now: wallClock() };
  }

  #win(): void {
    if (this.#leads) return;
    this.#leads = true;
    this.#followed = '';
    this.#tell({ type: 'won' });
    this.options.won();
  }

  #lose(reason: LossReason): void {
    if (!this.#leads) return;
    this.#leads = false;
    this.#tenure.end();
    this.#cancelExpiry();
    this.#tell({ type: 'lost', reason });
    this.#afterLoss = this.#settle(reason);
  }

  async #settle(reason: LossReason): Promise<void> {
    try {
      await this.options.lost(reason);
    } catch (error) {
      this.#tell({ type: 'failed', error });
    }
  }

  #armExpiry(): void {
    this.#cancelExpiry();
    const { time } = this.options;
    this.#cancelExpiry = time.after(this.#tenure.heldUntilMs - time.now(), () => {
      if (!this.#tenure.holds(time.now())) this.#lose('expired');
      else this.#armExpiry();
    });
  }

  #follow(holder: string): void {
    if (this.#followed === holder) return;
    this.#followed = holder;
    this.#tell({ type: 'following', holder });
  }

  /** The same API, with an answer in time or none. */
  #bounded(api: Api): Api {
    return {
      stream: (request) => api.stream(request),
      call: async (request) => {
        const late = new AbortController();
        const cancel = this.options.time.after(this.#limits.callTimeoutMs, () => late.abort());
        try {
          return await api.call({ ...request, signal: late.signal });
        } finally {
          cancel();
        }
      },
    };
  }

  #tell(event: ElectionEvent): void {
    this.options.observe?.(event);
  }
}
