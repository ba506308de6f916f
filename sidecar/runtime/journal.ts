// SPDX-License-Identifier: Apache-2.0
/** The last things that happened, for the status endpoint: what people and the pair's controller look at first. */

export interface JournalEntry {
  /** Wall clock, ISO 8601. */
  readonly at: string;
  readonly level: 'info' | 'warn' | 'error';
  readonly reason: string;
  readonly message: string;
}

export interface Failover {
  readonly at: string;
  /** Order to the engine to go live → it is live, ms. */
  readonly goLiveMs: number;
  readonly liveLsn: number;
}

const ENTRIES_MAX = 64;

export class Journal {
  private readonly kept: JournalEntry[] = [];
  private promotedAt = 0;
  private failover: Failover | null = null;

  constructor(private readonly onReport: (reason: string) => void) {}

  get entries(): readonly JournalEntry[] {
    return this.kept;
  }

  get lastFailover(): Failover | null {
    return this.failover;
  }

  report(level: JournalEntry['level'], reason: string, message: string): void {
    this.kept.push({ at: new Date().toISOString(), level, reason, message });
    if (this.kept.length > ENTRIES_MAX) this.kept.shift();
    this.onReport(reason);
  }

  promoted(): void {
    this.promotedAt = performance.now();
  }

  live(liveLsn: number): void {
    const goLiveMs = performance.now() - this.promotedAt;
    this.failover = { at: new Date().toISOString(), goLiveMs, liveLsn };
  }
}
