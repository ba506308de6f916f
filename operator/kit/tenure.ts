// SPDX-License-Identifier: Apache-2.0
/**
 * Who may lead, judged by what was seen here and when, on one's own monotonic clock. The times written in the lease
 * are for people: no two machines' clocks are compared. Pure: `now` is handed in.
 *
 * Why two never lead at once. A leader counts from the moment before it *sent* a renewal, another from the moment after
 * it *saw* the lease that this renewal made. The second moment is never before the first, and the first one's time is
 * shorter. Who was paused finds its time over when it looks at the clock; nothing else needs to happen.
 */
import type { ElectionLimits } from './election-limits.js';

/** The lease as the API server has it. */
export interface LeaseRecord {
  /** Identity and version, one word; another one with each write. */
  readonly version: string;
  /** '' when nobody holds it. */
  readonly holder: string;
  /** As its holder has said; null if it has not. */
  readonly durationMs: number | null;
}

export type Move =
  /** There is none. */
  | { readonly kind: 'create' }
  /** It is ours: say so again. */
  | { readonly kind: 'renew' }
  /** Nobody holds it, or its holder's time is over. */
  | { readonly kind: 'take' }
  | { readonly kind: 'wait'; readonly holder: string; readonly ms: number };

interface Sight {
  readonly record: LeaseRecord;
  /** When this version was seen first. */
  readonly atMs: number;
}

export class Tenure {
  #sight: Sight | null = null;
  #heldUntilMs = -Infinity;

  constructor(
    private readonly identity: string,
    private readonly limits: ElectionLimits,
  ) {}

  /** Time of its end, if nothing is renewed. */
  get heldUntilMs(): number {
    return this.#heldUntilMs;
  }

  holds(nowMs: number): boolean {
    return nowMs < this.#heldUntilMs;
  }

  /**
   * What to do about the lease that was read.
   * @param nowMs after the answer came: the lease may have been written until then
   */
  move(record: LeaseRecord | null, nowMs: number): Move {
    if (record === null) return this.#moveWithout(nowMs);
    if (this.#sight?.record.version !== record.version) this.#sight = { record, atMs: nowMs };
    if (record.holder === this.identity) return { kind: 'renew' };
    // Whatever was believed: it belongs to somebody else.
    this.end();
    if (record.holder === '') return { kind: 'take' };
    return this.#moveAgainst(this.#sight, nowMs);
  }

  /**
   * Our write was carried out.
   * @param sentMs before it was sent
   * @param answeredMs after its answer came
   */
  confirmed(record: LeaseRecord, sentMs: number, answeredMs: number): void {
    // A write that changed nothing makes no version, thus is seen by nobody, thus renews nothing.
    if (this.#sight?.record.version === record.version) return;
    this.#sight = { record, atMs: answeredMs };
    this.#heldUntilMs = sentMs + this.limits.renewDeadlineMs;
  }

  /** We lead no more. */
  end(): void {
    this.#heldUntilMs = -Infinity;
  }

  /** Somebody has deleted the lease. Its holder may lead on until its time is over. */
  #moveWithout(nowMs: number): Move {
    const sight = this.#sight;
    const isOthers = sight !== null && sight.record.holder !== '' && sight.record.holder !== this.identity;
    if (!isOthers) return { kind: 'create' };
    const move = this.#moveAgainst(sight, nowMs);
    return move.kind === 'wait' ? move : { kind: 'create' };
  }

  #moveAgainst({ record, atMs }: Sight, nowMs: number): Move {
    const freeMs = atMs + (record.durationMs ?? this.limits.leaseDurationMs);
    return nowMs >= freeMs ? { kind: 'take' } : { kind: 'wait', holder: record.holder, ms: freeMs - nowMs };
  }
}
