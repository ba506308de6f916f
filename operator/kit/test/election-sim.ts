// SPDX-License-Identifier: Apache-2.0
/**
 * Candidates around one Lease, in simulated time. Between any two things that a candidate does it may stand still for
 * up to half a minute, calls may be slow or lost in either direction, and everybody's clock runs at its own rate.
 */
import type { ElectionLimits } from '../election-limits.js';
import { Tenure, type LeaseRecord } from '../tenure.js';

export interface SimOptions {
  readonly seed: number;
  readonly candidates: number;
  readonly limits: ElectionLimits;
  /** Rates of clocks are within 1 ± this. */
  readonly rateSpread?: number;
}

interface Belief {
  readonly who: string;
  readonly fromMs: number;
  toMs: number;
}

const PAUSE_MS_MAX = 30_000;
const RATE_SPREAD = 0.1;

export class ElectionSim {
  readonly #random: () => number;
  readonly #events: { readonly atMs: number; readonly sequence: number; readonly run: () => void }[] = [];
  readonly #candidates: Candidate[];
  readonly beliefs: Belief[] = [];
  #nowMs = 0;
  #sequence = 0;
  #troubled = true;
  lease: LeaseRecord | null = null;
  #versions = 0;

  constructor({ seed, candidates, limits, rateSpread = RATE_SPREAD }: SimOptions) {
    this.#random = mulberry32(seed);
    this.#candidates = Array.from({ length: candidates }, (_, i) => {
      const rate = 1 + (this.#random() * 2 - 1) * rateSpread;
      return new Candidate(this, `c${i}`, limits, { rate, offsetMs: this.#random() * 1e6 });
    });
    for (const candidate of this.#candidates) this.later(0, () => candidate.look());
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get terms(): number {
    return this.beliefs.length;
  }

  run(ms: number): this {
    const untilMs = this.#nowMs + ms;
    for (let next = this.#next(untilMs); next !== null; next = this.#next(untilMs)) {
      this.#nowMs = next.atMs;
      next.run();
    }
    this.#nowMs = untilMs;
    return this;
  }

  /** No pauses and no lost calls from now on. */
  calm(): void {
    this.#troubled = false;
  }

  leaders(): readonly string[] {
    return this.#candidates.filter((candidate) => candidate.holds()).map(({ name }) => name);
  }

  /** Pairs that believed at the same time. */
  get overlaps(): readonly string[] {
    const sorted = [...this.beliefs].sort((a, b) => a.fromMs - b.fromMs);
    const found: string[] = [];
    for (const [i, a] of sorted.entries())
      for (const b of sorted.slice(i + 1))
        if (b.who !== a.who && b.fromMs < a.toMs)
          found.push(`${a.who} until ${a.toMs}, ${b.who} from ${b.fromMs}`);
    return found;
  }

  later(delayMs: number, run: () => void): void {
    this.#events.push({ atMs: this.#nowMs + delayMs, sequence: this.#sequence++, run });
  }

  /** Goes on after a moment, or after a long one. */
  step(run: () => void): void {
    const paused = this.#troubled && this.#random() < 0.1;
    this.later(paused ? this.#random() * PAUSE_MS_MAX : this.#random() * 20, run);
  }

  /** Way of a call in one direction; null when it gets lost. */
  way(run: () => void): void {
    if (this.#troubled && this.#random() < 0.05) return;
    this.step(run);
  }

  /** @returns null for a conflict */
  write(version: string | null, holder: string, durationMs: number): LeaseRecord | null {
    if ((this.lease?.version ?? null) !== version) return null;
    this.lease = { version: String(++this.#versions), holder, durationMs };
    return this.lease;
  }

  #next(untilMs: number): { readonly atMs: number; readonly run: () => void } | null {
    let best = -1;
    for (const [i, event] of this.#events.entries()) {
      const other = this.#events[best];
      const sooner =
        other === undefined ||
        event.atMs < other.atMs ||
        (event.atMs === other.atMs && event.sequence < other.sequence);
      if (event.atMs <= untilMs && sooner) best = i;
    }
    return best < 0 ? null : (this.#events.splice(best, 1)[0] ?? null);
  }
}

class Candidate {
  readonly #tenure: Tenure;
  #belief: Belief | null = null;
  /** Of the round that counts; answers to earlier ones come too late. */
  #round = 0;

  constructor(
    private readonly sim: ElectionSim,
    readonly name: string,
    private readonly limits: ElectionLimits,
    private readonly clock: { readonly rate: number; readonly offsetMs: number },
  ) {
    this.#tenure = new Tenure(name, limits);
  }

  holds(): boolean {
    return this.#tenure.holds(this.#now());
  }

  /** Reads the lease; a round without an end is given up and another begins. */
  look(): void {
    const round = ++this.#round;
    this.sim.later(this.#global(this.limits.retryMs + this.limits.callTimeoutMs * 2), () => {
      if (this.#round === round) this.sim.step(() => this.look());
    });
    this.sim.way(() => {
      const read = this.sim.lease;
      this.sim.way(() => this.#isCurrent(round) && this.#decide(round, read));
    });
  }

  #decide(round: number, read: LeaseRecord | null): void {
    const move = this.#tenure.move(read, this.#now());
    if (!this.#tenure.holds(this.#now())) this.#belief = null;
    if (move.kind === 'wait') {
      this.#again(round);
      return;
    }
    // The clock is read, then anything may happen before the request leaves.
    const sentMs = this.#now();
    this.sim.step(() => {
      this.sim.way(() => {
        const written = this.sim.write(read?.version ?? null, this.name, this.limits.leaseDurationMs);
        this.sim.way(() => this.#answered(round, written, sentMs));
      });
    });
  }

  #answered(round: number, written: LeaseRecord | null, sentMs: number): void {
    if (written !== null && this.#isCurrent(round)) {
      this.#tenure.confirmed(written, sentMs, this.#now());
      if (this.#tenure.holds(this.#now())) this.#believe();
    }
    this.#again(round);
  }

  /** From now until its own clock says otherwise, paused or not. */
  #believe(): void {
    const { rate, offsetMs } = this.clock;
    const toMs = (this.#tenure.heldUntilMs - offsetMs) / rate;
    if (this.#belief !== null && this.#belief.toMs >= this.sim.nowMs) this.#belief.toMs = toMs;
    else this.sim.beliefs.push((this.#belief = { who: this.name, fromMs: this.sim.nowMs, toMs }));
  }

  #again(round: number): void {
    if (!this.#isCurrent(round)) return;
    this.#round += 1;
    this.sim.later(this.#global(this.limits.retryMs), () => this.sim.step(() => this.look()));
  }

  #isCurrent(round: number): boolean {
    return this.#round === round;
  }

  #now(): number {
    return this.sim.nowMs * this.clock.rate + this.clock.offsetMs;
  }

  #global(localMs: number): number {
    return localMs / this.clock.rate;
  }
}

/** A small generator of random numbers; the same seed gives the same history. */
function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
