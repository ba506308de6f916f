// SPDX-License-Identifier: Apache-2.0
// On the test cluster (npm run test:cluster brings it up): what a user of Kubernetes sees, and what the operator costs.
import { setTimeout as sleep } from 'node:timers/promises';
import { LocalError } from '../../cli/local/errors.js';
import { onNode, useEnvironment } from '../../test/cluster/bed/command.js';
import { killNode, startNode } from '../../test/cluster/bed/faults.js';
import { nodesReady } from '../../test/cluster/bed/kind.js';
import { kubectl } from '../../test/cluster/bed/kubectl.js';
import { RELEASE_NAMESPACE } from '../../test/cluster/bed/product.js';
import { GuardedVm } from '../../test/cluster/e2e/support/guarded.js';
import { operatorPods, operatorProcess } from '../../test/cluster/e2e/support/operators.js';
import type { Row } from '../report.js';
import type { Measurement } from '../stage.js';

const VM = 'bench';
const ADDRESS = '10.99.0.120';
const METRICS_PORT = 8080;
const MS_PER_HOUR = 3_600_000;
/** As the issue has it: first protection within two minutes. */
const PROTECTED_AIM_S = 120;

interface Round {
  readonly protectedS: number;
  readonly gapMs: number;
  readonly mendedS: number;
}

async function requireCluster(): Promise<void> {
  useEnvironment();
  await kubectl(['get', 'deployment', 'lockstep-operator', '-n', RELEASE_NAMESPACE]).catch(
    (error: unknown) => {
      const words = 'there is no test cluster with the product on it';
      throw new LocalError('STATE', words, "Bring it up: 'npm run test:cluster -- --first'.", {
        cause: error,
      });
    },
  );
}

const secondsSince = (at: number): number => (performance.now() - at) / 1000;

/** A VM's life: applied, protected, its node killed, protected again on another. `meanwhile` while it is at rest. */
async function round(meanwhile: () => Promise<void>): Promise<Round> {
  const vm = new GuardedVm(VM, ADDRESS);
  try {
    await vm.start();
    const protectedS = vm.protectedAfterMs / 1000;
    await meanwhile();
    const before = await vm.sides();
    const killedAt = performance.now();
    await killNode(before.primary.node);
    try {
      const gapMs = await vm.serves();
      await vm.untilProtectedAgain(before, 'primary');
      return { protectedS, gapMs, mendedS: secondsSince(killedAt) };
    } finally {
      await startNode(before.primary.node);
      await nodesReady();
    }
  } finally {
    await vm.finish();
  }
}

/** All requests to the API server that the operators have made so far, those of their election among them. */
async function apiCalls(): Promise<number> {
  let sum = 0;
  for (const { metadata } of await operatorPods()) {
    const path = `/api/v1/namespaces/${RELEASE_NAMESPACE}/pods/${metadata.name}:${METRICS_PORT}/proxy/metrics`;
    for (const line of (await kubectl(['get', '--raw', path])).split('\n'))
      if (line.startsWith('ftvm_operator_api_calls_total')) sum += Number(line.split(' ').at(-1));
  }
  return sum;
}

/** Resident memory of each operator, MiB. */
async function operatorMemory(): Promise<number[]> {
  const all: number[] = [];
  for (const pod of await operatorPods()) {
    const process = await operatorProcess(pod);
    if (process === null) continue;
    const status = await onNode(process.node, ['cat', `/proc/${process.pid}/status`]);
    all.push(Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024);
  }
  return all;
}

async function callsPerHour(quietMs: number): Promise<number> {
  const [before, at] = [await apiCalls(), performance.now()];
  await sleep(quietMs);
  return ((await apiCalls()) - before) * (MS_PER_HOUR / (performance.now() - at));
}

export const cluster: Measurement = {
  name: 'cluster',
  title: 'On Kubernetes: from kubectl apply to Protected, the loss of the node, and what the operator costs',
  onlyWhenNamed: true,
  async run(stage) {
    await requireCluster();
    const idle = await callsPerHour(stage.effort.quietMs);
    const withOne: number[] = [];
    const rounds: Round[] = [];
    for (let n = 1; n <= stage.effort.nodeKills; n += 1) {
      const done = await round(async () => {
        if (withOne.length === 0) withOne.push((await callsPerHour(stage.effort.quietMs)) - idle);
      });
      stage.say(
        `round ${n}: protected after ${done.protectedS.toFixed(1)} s, gap ${done.gapMs.toFixed(0)} ms, ` +
          `again after ${done.mendedS.toFixed(1)} s`,
      );
      rounds.push(done);
    }
    const rows: Row[] = [
      {
        what: 'kubectl apply to Protected',
        unit: 's',
        values: rounds.map(({ protectedS }) => protectedS),
        aim: { worst: PROTECTED_AIM_S },
      },
      { what: 'longest wait of the client', unit: 'ms', values: rounds.map(({ gapMs }) => gapMs) },
      { what: 'node killed to Protected again', unit: 's', values: rounds.map(({ mendedS }) => mendedS) },
      { what: "an operator's memory", unit: 'MiB', values: await operatorMemory() },
      { what: 'API calls an hour, no VM', unit: 'count', values: [idle] },
      { what: 'API calls an hour for a protected VM at rest', unit: 'count', values: withOne },
    ];
    return {
      rows,
      notes: [
        'Nodes, both QEMUs and the client share this machine; a side counts as dead after 2,000 ms here.',
        'API calls are those of both operators; without a VM they are the election and looks at webhook and identity.',
      ],
    };
  },
};
