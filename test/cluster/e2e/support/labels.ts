// SPDX-License-Identifier: Apache-2.0
// Which nodes may hold the sides of a VM: tests say it by labels, as a user would, with placement.nodeSelector.
import { kubectl } from '../../bed/kubectl.js';
import { WORKER_NAMES } from '../../bed/settings.js';

const PREFIX = 'lockstep-e2e/';

/** Places of one VM, by its name. */
export class Places {
  readonly #label: string;

  constructor(vm: string) {
    this.#label = `${PREFIX}${vm}`;
  }

  get selector(): Readonly<Record<string, string>> {
    return { [this.#label]: 'yes' };
  }

  async add(nodes: readonly string[]): Promise<void> {
    if (nodes.length > 0) await kubectl(['label', 'node', ...nodes, `${this.#label}=yes`, '--overwrite']);
  }

  async clear(): Promise<void> {
    await kubectl(['label', 'node', ...WORKER_NAMES, `${this.#label}-`]);
  }
}
