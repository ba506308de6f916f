// SPDX-License-Identifier: Apache-2.0
// What a measurement is given, and what it gives.
import { keepLogs } from '../cli/local/kept-logs.js';
import type { Cleanup } from './cleanup.js';
import { PairRig } from './pair/rig.js';
import type { Section } from './report.js';

const PAIR_NAME = 'bench';

/** How often and how long to measure. */
export interface Effort {
  readonly kills: number;
  readonly cuts: number;
  /** Under each kind of work. */
  readonly busyKills: number;
  readonly clones: number;
  readonly latencyCycles: number;
  readonly latencyWindowMs: number;
  readonly workRounds: number;
  readonly loadMs: number;
  readonly nodeKills: number;
  /** A time in which nothing is done to a VM. */
  readonly quietMs: number;
}

export const FULL: Effort = {
  kills: 20,
  cuts: 10,
  busyKills: 4,
  clones: 6,
  latencyCycles: 5,
  latencyWindowMs: 4000,
  workRounds: 5,
  loadMs: 10_000,
  nodeKills: 5,
  quietMs: 300_000,
};

export const QUICK: Effort = {
  kills: 3,
  cuts: 1,
  busyKills: 1,
  clones: 1,
  latencyCycles: 1,
  latencyWindowMs: 2000,
  workRounds: 1,
  loadMs: 3000,
  nodeKills: 1,
  quietMs: 60_000,
};

export interface Measurement {
  readonly name: string;
  readonly title: string;
  /** It needs more than this machine alone. */
  readonly onlyWhenNamed?: true;
  run(stage: Stage): Promise<Pick<Section, 'rows' | 'notes'>>;
}

/** Measurements on the same machine share one pair, one after the other. */
export class Stage {
  #rig: { readonly memoryMiB: number; readonly rig: PairRig } | null = null;

  constructor(
    readonly effort: Effort,
    readonly cleanup: Cleanup,
    readonly say: (line: string) => void,
    private readonly pairName = PAIR_NAME,
  ) {}

  async pair(memoryMiB = 256): Promise<PairRig> {
    if (this.#rig?.memoryMiB === memoryMiB) return this.#rig.rig;
    await this.clear();
    const rig = await PairRig.up(this.cleanup, this.pairName, memoryMiB);
    this.#rig = { memoryMiB, rig };
    return rig;
  }

  /** Copies the logs of a pair on which a measurement failed. @returns where they are, if there is a pair. */
  async keepLogs(measurement: string): Promise<string | null> {
    if (this.#rig === null) return null;
    return keepLogs(this.#rig.rig.pair.layout, 'bench-failures', measurement);
  }

  /** Takes the pair down, if there is one. */
  async clear(): Promise<void> {
    const rig = this.#rig?.rig;
    this.#rig = null;
    await rig?.down();
  }
}
