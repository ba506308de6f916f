// SPDX-License-Identifier: Apache-2.0
// The objects of the cluster, by kubectl, as a user would look at them.
import { apply, kubectl } from '../../bed/kubectl.js';

/** As much of an object as every kind has. */
export interface KubeObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
}

const inside = (namespace: string | undefined): string[] =>
  namespace === undefined ? [] : ['-n', namespace];

/** Undefined when there is no such object. */
export async function get<T extends KubeObject>(
  resource: string,
  name: string,
  namespace?: string,
): Promise<T | undefined> {
  const text = await kubectl([
    'get',
    resource,
    name,
    ...inside(namespace),
    '-o',
    'json',
    '--ignore-not-found',
  ]);
  return text.trim() === '' ? undefined : (JSON.parse(text) as T);
}

export async function list<T extends KubeObject>(
  resource: string,
  namespace: string,
  selector?: string,
): Promise<T[]> {
  const which = selector === undefined ? [] : ['-l', selector];
  const text = await kubectl(['get', resource, ...inside(namespace), ...which, '-o', 'json']);
  return (JSON.parse(text) as { items: T[] }).items;
}

export const applyObject = (manifest: object): Promise<string> => apply(JSON.stringify(manifest));

/** Asks for the removal; does not wait for it. */
export async function remove(
  resource: string,
  name: string,
  namespace: string | undefined,
  { force = false }: { force?: boolean } = {},
): Promise<void> {
  const how = force ? ['--force', '--grace-period=0'] : [];
  await kubectl([
    'delete',
    resource,
    name,
    ...inside(namespace),
    '--ignore-not-found',
    '--wait=false',
    ...how,
  ]);
}

const ROLLOUT_TIMEOUT_S = 180;

/** Waits until all pods of a Deployment, StatefulSet or DaemonSet (`KIND/NAME`) are as it wants them. */
export async function rolledOut(what: string, namespace: string): Promise<void> {
  const rollout = ['rollout', 'status', what, '-n', namespace, `--timeout=${ROLLOUT_TIMEOUT_S}s`];
  await kubectl(rollout, { timeoutMs: (ROLLOUT_TIMEOUT_S + 10) * 1000 });
}
