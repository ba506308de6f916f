// SPDX-License-Identifier: Apache-2.0
// The product in the cluster, installed as a user does it.
import { join } from 'node:path';
import { REPO } from '../../../../cli/local/layout.js';
import { run } from '../../../../cli/local/run.js';
import { BIN, KUBECONFIG } from '../../bed/settings.js';

export const RELEASE = 'lockstep';
export const RELEASE_NAMESPACE = 'lockstep-system';
const INSTALL_S_MAX = 300;
/** helm itself ends by its own time-out; this is for a helm that hangs. */
const HELM_MS_MAX = (INSTALL_S_MAX + 30) * 1000;
/** With `--wait` helm may say much. */
const OUTPUT_BYTES_MAX = 4 << 20;

const helm = (args: readonly string[]): Promise<string> =>
  run(join(BIN, 'helm'), ['--kubeconfig', KUBECONFIG, ...args], {
    timeoutMs: HELM_MS_MAX,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });

/** `helm upgrade --install --wait`: returns when it really works. */
export async function install(values: Readonly<Record<string, string>>): Promise<void> {
  const settings = Object.entries(values).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  const where = ['--namespace', RELEASE_NAMESPACE, '--create-namespace'];
  const wait = ['--wait', '--timeout', `${INSTALL_S_MAX}s`];
  await helm(['upgrade', '--install', RELEASE, join(REPO, 'helm'), ...where, ...wait, ...settings]);
}

export async function uninstall(): Promise<void> {
  await helm(['uninstall', RELEASE, '--namespace', RELEASE_NAMESPACE, '--wait', '--ignore-not-found']);
}
