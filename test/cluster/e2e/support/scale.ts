// SPDX-License-Identifier: Apache-2.0
// Parts of the installation taken away and brought back.
import { until } from '../../../qemu/support/wait.js';
import { kubectl } from '../../bed/kubectl.js';
import { RELEASE_NAMESPACE } from '../../bed/product.js';
import { list, rolledOut } from './kube.js';
import type { Pod } from './vm.js';

interface Part {
  /** `KIND/NAME`. */
  readonly object: string;
  /** Label of its pods. */
  readonly component: string;
}

export const STORE: Part = { object: 'statefulset/lockstep-redis', component: 'redis' };
export const OPERATOR: Part = { object: 'deployment/lockstep-operator', component: 'operator' };

const GONE_MS_MAX = 180_000;

export const ready = ({ object }: Part): Promise<void> => rolledOut(object, RELEASE_NAMESPACE);

/** Returns when there are so many pods of it, all ready, or none at all. */
export async function scale(part: Part, replicas: number): Promise<void> {
  const { object, component } = part;
  await kubectl(['scale', object, '-n', RELEASE_NAMESPACE, `--replicas=${replicas}`]);
  await ready(part);
  if (replicas > 0) return;
  await until(`${object} is gone`, GONE_MS_MAX, async () => {
    const pods = await list<Pod>('pods', RELEASE_NAMESPACE, `app.kubernetes.io/component=${component}`);
    return pods.length === 0 ? true : undefined;
  });
}
