// SPDX-License-Identifier: Apache-2.0
/** Lets an installation run, step by step, until something is so. */
import type { FtvmStatus } from '../api/ftvm.js';
import { FakeOperator, Lifeline, type Installation } from './installation.js';

const STEPS_MAX = 120;

export interface Until {
  readonly what: string;
  readonly is: (installation: Installation) => boolean;
}

export const word = (status: FtvmStatus['status']): Until => ({
  what: `status ${String(status)}`,
  is: (installation) => installation.find()?.status?.status === status,
});

/** Protected, by an owner other than before. */
export const protectedAgain = (before: string): Until => ({
  what: `protected, and not by ${before}`,
  is: (installation) => {
    const status = installation.find()?.status;
    return status?.status === 'Protected' && status.primary?.vmi !== before;
  },
});

export const gone: Until = { what: 'gone', is: (installation) => installation.find() === undefined };

/** The operators that run, in turn; one that dies is replaced when `reborn` says so. */
export class Run {
  operators: FakeOperator[];
  /** How often a process was killed. */
  deaths = 0;
  /** Moments at which more than one side ran the VM. */
  readonly doubles: string[] = [];
  /** Effects of processes that are dead. */
  #buried = 0;

  constructor(
    readonly installation: Installation,
    operators: readonly FakeOperator[] = [new FakeOperator(installation)],
  ) {
    this.operators = [...operators];
  }

  static dyingAt(
    installation: Installation,
    at: ConstructorParameters<typeof Lifeline>[0],
    when: 'before' | 'after',
  ): Run {
    return new Run(installation, [new FakeOperator(installation, new Lifeline(at, when))]);
  }

  get effects(): number {
    return this.operators.reduce((sum, { line }) => sum + line.done, this.#buried);
  }

  get failures(): readonly string[] {
    return this.operators.flatMap(({ failures }) => failures);
  }

  async step(): Promise<void> {
    const { cluster } = this.installation;
    cluster.step();
    for (const [index, operator] of this.operators.entries()) {
      if (cluster.owners.length > 1)
        this.doubles.push(cluster.owners.map(({ place }) => place.vmi).join(' and '));
      if (await operator.look()) continue;
      this.deaths += 1;
      this.#buried += operator.line.done;
      this.operators[index] = new FakeOperator(this.installation);
    }
  }

  /** @throws Error that tells what there was instead */
  async until({ what, is }: Until, stepsMax = STEPS_MAX): Promise<void> {
    for (let step = 0; step < stepsMax; step++) {
      if (is(this.installation)) return;
      await this.step();
    }
    throw new Error(
      `after ${stepsMax} steps not ${what}: ${told(this.installation)}; ${[...new Set(this.failures)].join('; ')}`,
    );
  }

  async steps(count: number): Promise<void> {
    for (let step = 0; step < count; step++) await this.step();
  }
}

/** What was told of the VM's past, without names, which differ from run to run. */
export const eventsOf = ({ events }: Installation): string[] =>
  events.map(({ type, reason }) => `${type} ${reason}`).sort();

/** What somebody who looks for the reason wants to see. */
export function told(installation: Installation): string {
  const { cluster } = installation;
  const sidecars = [...cluster.sidecars.values()].map(
    ({ place, stage, phase, alive, end }) =>
      `${place.vmi}@${place.node} ${alive ? 'alive' : 'dead'} ${stage}/${phase} ${end?.reason ?? ''}`,
  );
  const vmis = cluster.vmis.map(
    ({ metadata, status }) =>
      `${metadata.name} ${status?.phase ?? '-'}${metadata.deletionTimestamp === undefined ? '' : ' doomed'}`,
  );
  return JSON.stringify(
    { status: installation.find()?.status, vmis, sidecars, made: installation.made },
    null,
    1,
  );
}
