// SPDX-License-Identifier: Apache-2.0
/** What a sidecar tells of itself: log lines, metrics, its journal, and all of it as one status. */
import type { Logger } from 'winston';
import type { RingSnapshot } from '../../native/addon/index.js';
import { makeLogger } from '../observe/log.js';
import { Metrics } from '../observe/metrics.js';
import type { SidecarStatus } from '../observe/status-schema.js';
import type { Numbers, Status } from '../protocol/status.js';
import type { DisksStatus } from './disks/disks.js';
import { Journal } from './journal.js';
import type { Site } from './site.js';

/** Read when somebody asks. */
export interface AccountSource {
  /** Null before the protocol has begun. */
  status(): Status | null;
  numbers(): Numbers | null;
  /** Null when the ring is closed. */
  ring(): RingSnapshot | null;
  droppedIngress(): number;
  /** Null: the VM has none. */
  disks(): DisksStatus | null;
}

type Subject = Pick<Site, 'vm' | 'host' | 'nonce' | 'start' | 'log'>;

/** What is true before the protocol has begun. */
export const beginning = ({ nonce, start }: Pick<Subject, 'nonce' | 'start'>): Status => ({
  role: start.role,
  phase: start.role === 'primary' ? 'founding' : 'joining',
  epoch: 0,
  nonce,
  peer: null,
  protection: { word: 'Not Protected', state: 'Starting', reason: 'initializing' },
  lease: null,
});

export class Account {
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly journal: Journal;

  constructor(
    private readonly subject: Subject,
    private readonly source: AccountSource,
  ) {
    const { vm, host, nonce, start, log } = subject;
    this.logger = makeLogger({ vm, host, nonce }, log, () => ({
      epoch: source.status()?.epoch ?? 0,
      role: source.status()?.role ?? start.role,
    }));
    this.metrics = new Metrics(
      { vm, host },
      {
        numbers: () => source.numbers(),
        status: () => source.status(),
        ring: () => {
          const ring = source.ring();
          return { waits: ring?.ringWaits ?? 0, heldMs: ring?.heldMs ?? 0 };
        },
        droppedIngress: () => source.droppedIngress(),
      },
    );
    this.journal = new Journal((reason) => {
      this.metrics.reports.inc({ reason });
      if (reason === 'divergence') this.metrics.divergences.inc();
    });
  }

  statusChanged(status: Status): void {
    this.metrics.statusChanged(status);
    this.logger.debug(`status ${JSON.stringify(status)}`);
  }

  wentLive(lsn: number): void {
    this.journal.live(lsn);
    this.metrics.failovers.inc();
  }

  /** An event of QEMU's monitor. A reset is ordinary life: it is told, and nothing else changes. */
  engineEvent(name: string): void {
    if (name !== 'RESET') return;
    const message = 'the machine was reset: the guest starts anew';
    this.journal.report('info', 'guestReset', message);
    this.logger.info(message, { reason: 'guestReset' });
  }

  released(left: boolean, ackedAfterMs: number | null): void {
    if (ackedAfterMs !== null) this.metrics.ackLatency.observe(ackedAfterMs / 1000);
    if (left) this.metrics.releasedOutputs.inc();
    else this.metrics.droppedOutputs.inc();
  }

  cloneSent(tookMs: number): void {
    this.metrics.cloneSeconds.observe(tookMs / 1000);
    const ring = this.source.ring();
    if (ring !== null) this.metrics.clonePauseSeconds.observe(ring.clonePauseUs / 1e6);
  }

  /** The body of GET /status; status-schema.ts names what others decide by. */
  status(): SidecarStatus {
    const { vm, host } = this.subject;
    const numbers = this.source.numbers();
    const { lastFailover } = this.journal;
    return {
      ...(this.source.status() ?? beginning(this.subject)),
      vm,
      host,
      numbers: numbers === null ? null : { ...numbers },
      disks: this.source.disks(),
      engine: engineOf(this.source.ring()),
      lastFailover: lastFailover === null ? null : { ...lastFailover },
      journal: this.journal.entries,
    };
  }
}

function engineOf(ring: RingSnapshot | null): NonNullable<SidecarStatus['engine']> | null {
  if (ring === null) return null;
  const { ringWaits, heldMs, icount, state, clonePauseUs } = ring;
  return { state, ringWaits, heldMs, clonePauseUs, icount: icount.toString() };
}
