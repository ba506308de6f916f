// SPDX-License-Identifier: Apache-2.0
/** helm, kubeconform and the API server's description: made for the test cluster, and here when they are missing. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../cli/local/run.js';
import { BUILDS, programStage } from '../../test/cluster/bed/programs.js';
import { GO_MODULES, KUBERNETES_VERSION } from '../../test/cluster/bed/settings.js';
import type { OpenApi } from './schemas.js';

const DOWNLOAD_MS_MAX = 5 * 60_000;

export interface Tools {
  readonly helm: string;
  readonly kubeconform: string;
}

/** Builds them first, in some minutes, when nobody has on this machine. */
export async function chartTools(): Promise<Tools> {
  const stage = await programStage(BUILDS.tools);
  if (!(await stage.isThere())) await stage.make();
  return { helm: join(stage.folder, 'helm'), kubeconform: join(stage.folder, 'kubeconform') };
}

/** What an API server of the test cluster's version tells of itself at /openapi/v2; its sources hold a copy. */
export async function kubernetesOpenApi(): Promise<OpenApi> {
  const download = ['mod', 'download', '-json', `k8s.io/kubernetes@${KUBERNETES_VERSION}`];
  const said = await run('go', ['-C', join(GO_MODULES, 'kubernetes'), ...download], {
    timeoutMs: DOWNLOAD_MS_MAX,
  });
  const { Dir } = JSON.parse(said) as { readonly Dir: string };
  return JSON.parse(await readFile(join(Dir, 'api/openapi-spec/swagger.json'), 'utf8')) as OpenApi;
}
