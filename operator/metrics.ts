// SPDX-License-Identifier: Apache-2.0
/** What Prometheus is told of each VM: levels and counts from its status, by its name. */
import { Counter, Gauge, Registry } from 'prom-client';
import type { FtvmStatus } from './api/ftvm.js';
import { refOf } from './kit/object.js';

const LABELS = ['namespace', 'vm'] as const;

export class Metrics {
  readonly registry = new Registry();
  readonly reconciles = new Counter({
    name: 'ftvm_operator_reconciles_total',
    help: 'Looks at a VM, by how they ended',
    labelNames: ['outcome'],
    registers: [this.registry],
  });
  readonly apiCalls = new Counter({
    name: 'ftvm_operator_api_calls_total',
    help: 'Requests to the API server; a watch counts when it is opened',
    labelNames: ['method'],
    registers: [this.registry],
  });
  readonly leading = new Gauge({
    name: 'ftvm_operator_leader',
    help: '1 in the replica that acts',
    registers: [this.registry],
  });
  readonly #protected = this.#gauge('ftvm_protected', '1 while the VM outlives the loss of either host');
  readonly #running = this.#gauge('ftvm_running', '1 while a side runs the VM');
  readonly #epoch = this.#gauge('ftvm_epoch', 'Terms of ownership so far');
  readonly #failures = this.#gauge(
    'ftvm_retry_failures',
    'Attempts to protect that failed one after the other',
  );

  /** Null: there is no such VM any more. */
  show(key: string, status: FtvmStatus | null): void {
    const { name, namespace = '' } = refOf(key);
    const labels = { namespace, vm: name };
    if (status === null) {
      for (const one of [this.#protected, this.#running, this.#epoch, this.#failures]) one.remove(labels);
      return;
    }
    const isTrue = (type: string): number =>
      status.conditions?.some((one) => one.type === type && one.status === 'True') === true ? 1 : 0;
    this.#protected.set(labels, isTrue('Protected'));
    this.#running.set(labels, isTrue('Ready'));
    this.#epoch.set(labels, status.epoch ?? 0);
    this.#failures.set(labels, status.retry?.failures ?? 0);
  }

  #gauge(name: string, help: string): Gauge<(typeof LABELS)[number]> {
    return new Gauge({ name, help, labelNames: LABELS, registers: [this.registry] });
  }
}
