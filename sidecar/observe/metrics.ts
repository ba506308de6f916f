// SPDX-License-Identifier: Apache-2.0
/** What Prometheus is told. Fast numbers live here, not in a status. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { Numbers, Status } from '../protocol/status.js';

/** Read when Prometheus asks. */
export interface MetricsSource {
  numbers(): Numbers | null;
  status(): Status | null;
  ring(): { readonly waits: number; readonly heldMs: number };
  /** Packets for the guest dropped since this process began. */
  droppedIngress(): number;
}

const MS_PER_S = 1000;
const LATENCY_BUCKETS_S = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];
const CLONE_BUCKETS_S = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64];

/** How long a guest ran without protection, told by each change of status. */
class UnprotectedTime {
  private totalMs = 0;
  private sinceMs: number | null = null;

  constructor(private readonly now: () => number) {}

  changed({ role, protection }: Status): void {
    this.totalMs = this.readMs();
    const runsAlone = role === 'primary' && protection.word !== 'Protected';
    this.sinceMs = runsAlone ? this.now() : null;
  }

  readMs(): number {
    return this.totalMs + (this.sinceMs === null ? 0 : this.now() - this.sinceMs);
  }
}

export class Metrics {
  readonly registry = new Registry();
  readonly logBytes: Counter;
  readonly ackLatency: Histogram;
  readonly releasedOutputs: Counter;
  readonly droppedOutputs: Counter;
  readonly failovers: Counter;
  readonly cloneSeconds: Histogram;
  readonly clonePauseSeconds: Histogram;
  readonly divergences: Counter;
  readonly reports: Counter;

  private readonly unprotected: UnprotectedTime;

  /** @param now monotonic, ms */
  constructor(
    labels: { readonly vm: string; readonly host: string },
    source: MetricsSource,
    now: () => number = () => performance.now(),
  ) {
    this.unprotected = new UnprotectedTime(now);
    this.registry.setDefaultLabels(labels);
    collectDefaultMetrics({ register: this.registry, prefix: 'ftvm_sidecar_' });
    const counter = (name: string, help: string, labelNames: string[] = []): Counter =>
      new Counter({ name, help, labelNames, registers: [this.registry] });
    const histogram = (name: string, help: string, buckets: number[]): Histogram =>
      new Histogram({ name, help, buckets, registers: [this.registry] });

    this.logBytes = counter(
      'ftvm_log_bytes_total',
      'Log shipped to the backup (primary) or received (backup), bytes',
    );
    this.ackLatency = histogram(
      'ftvm_ack_latency_seconds',
      'From an output to the acknowledgement it waits for; of those that wait for one',
      LATENCY_BUCKETS_S,
    );
    this.releasedOutputs = counter('ftvm_released_outputs_total', 'Packets of the guest that left this host');
    this.droppedOutputs = counter(
      'ftvm_dropped_outputs_total',
      'Packets of the guest that were released, and dropped because the tap did not take them',
    );
    this.failovers = counter('ftvm_failovers_total', 'Times this side went live in the place of its primary');
    this.cloneSeconds = histogram(
      'ftvm_clone_seconds',
      'From the request of a clone to the last byte of its state',
      CLONE_BUCKETS_S,
    );
    this.clonePauseSeconds = histogram(
      'ftvm_clone_pause_seconds',
      'How long the guest stood still at the clone point of a clone that was sent',
      LATENCY_BUCKETS_S,
    );
    this.divergences = counter(
      'ftvm_divergences_total',
      'Backups dropped because they differed from their primary',
    );
    this.reports = counter('ftvm_reports_total', 'Changes of role and phase and their reasons', ['reason']);
    this.gauges(source);
    this.counters(source);
  }

  /** To be called with each status of the protocol. */
  statusChanged(status: Status): void {
    this.unprotected.changed(status);
  }

  private gauges(source: MetricsSource): void {
    /** `read` gives null: there is nothing to tell, and 0 would be a lie. */
    const gauge = (name: string, help: string, read: () => number | null): void => {
      new Gauge({
        name,
        help,
        registers: [this.registry],
        collect() {
          const value = read();
          if (value === null) this.remove();
          else this.set(value);
        },
      });
    };
    const number = (pick: (numbers: Numbers) => number) => (): number => {
      const numbers = source.numbers();
      return numbers === null ? 0 : pick(numbers);
    };
    const heardAge = number((n) => n.heardAgeMs / MS_PER_S);
    gauge(
      'ftvm_lag_seconds',
      'How far the backup is behind, in guest time',
      number((n) => n.lagMs / MS_PER_S),
    );
    gauge(
      'ftvm_held_outputs',
      'Packets that wait for an acknowledgement',
      number((n) => n.heldOutputs),
    );
    gauge(
      'ftvm_held_bytes',
      'Bytes of packets that wait for an acknowledgement',
      number((n) => n.heldBytes),
    );
    gauge(
      'ftvm_retained_outputs',
      'Packets that a backup keeps until they are known to have left',
      number((n) => n.retainedOutputs),
    );
    gauge(
      'ftvm_pace_ratio',
      'Share of the vCPU taken away so that the backup keeps up',
      number((n) => n.pacePermille / MS_PER_S),
    );
    gauge(
      'ftvm_heard_age_seconds',
      'Age of the last thing heard from the other side; absent when there is none',
      () => (hasPeer(source) ? heardAge() : null),
    );
    gauge(
      'ftvm_log_position',
      'Head of the log, bytes',
      number((n) => n.produced),
    );
    gauge('ftvm_protected', '1 while the pair is protected', () =>
      source.status()?.protection.word === 'Protected' ? 1 : 0,
    );
    gauge('ftvm_epoch', 'Epoch of the lease that this side knows', () => source.status()?.epoch ?? 0);
    gauge('ftvm_primary', '1 while this side records', () => (source.status()?.role === 'primary' ? 1 : 0));
  }

  /** What somebody else counts, and is read when Prometheus asks. */
  private counters(source: MetricsSource): void {
    const counter = (name: string, help: string, read: () => number): void => {
      new Counter({
        name,
        help,
        registers: [this.registry],
        collect() {
          this.reset();
          this.inc(read());
        },
      });
    };
    counter('ftvm_dropped_ingress_total', 'Packets for the guest dropped because its queue was full', () =>
      source.droppedIngress(),
    );
    counter(
      'ftvm_unprotected_seconds_total',
      'Time that the guest ran here as primary without protection',
      () => this.unprotected.readMs() / MS_PER_S,
    );
    counter(
      'ftvm_ring_waits_total',
      'Times the guest waited for room in the ring',
      () => source.ring().waits,
    );
    counter(
      'ftvm_guest_held_seconds_total',
      'Time the guest was held because its sidecar stood still',
      () => source.ring().heldMs / MS_PER_S,
    );
  }
}

const hasPeer = (source: MetricsSource): boolean => (source.status()?.peer ?? null) !== null;
