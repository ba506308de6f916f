// SPDX-License-Identifier: Apache-2.0
// Brings the cluster up: what is missing is made, what is there is kept.
import { mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { FolderStage } from './folder-stage.js';
import { provideGuest } from './guest.js';
import {
  archiveStage,
  debianStage,
  nodeBaseStage,
  nodejsStage,
  nodeStage,
  virtStage,
  type ImageStage,
  type ProgramFolders,
} from './images.js';
import { createCluster, deleteCluster, isUp, nodesReady } from './kind.js';
import { deployKubevirt, kubevirtAvailable } from './kubevirt.js';
import { connectWorkers, deployNetwork } from './network.js';
import { prepareMachine } from './machine.js';
import { BUILDS, programStage } from './programs.js';
import { step, tell } from './progress.js';
import { BIN } from './settings.js';
import { rememberUserfaultfd } from './userfaultfd.js';
import { ensure, type Stage } from './stage.js';

type ProgramName = keyof typeof BUILDS;
type Programs = Readonly<Record<ProgramName, FolderStage>>;

async function programs(): Promise<Programs> {
  const made: [ProgramName, FolderStage][] = [];
  for (const name of Object.keys(BUILDS) as ProgramName[]) {
    const stage = await programStage(BUILDS[name]);
    await ensure(stage);
    made.push([name, stage]);
  }
  return Object.fromEntries(made) as Record<ProgramName, FolderStage>;
}

function foldersOf(made: Programs): ProgramFolders {
  return {
    kubernetes: made.kubernetes.folder,
    kubevirt: made.kubevirt.folder,
    etcd: made.etcd.folder,
    coredns: made.coredns.folder,
    storage: made.storage.folder,
    multus: made.multus.folder,
  };
}

/** The programs that tests and people call, under build/cluster/bin. */
async function linkPrograms(made: Programs): Promise<void> {
  await mkdir(BIN, { recursive: true });
  const links = [
    ['kubectl', made.kubernetes],
    ['kind', made.tools],
    ['helm', made.tools],
    ['kubeconform', made.tools],
  ] as const;
  for (const [name, stage] of links) {
    await rm(join(BIN, name), { force: true });
    await symlink(join(stage.folder, name), join(BIN, name));
  }
}

async function made<T extends Stage>(stage: T): Promise<T> {
  await ensure(stage);
  return stage;
}

/** Everything that takes long and is kept: programs and images. */
export async function prepare(): Promise<{ readonly node: ImageStage; readonly kubevirtFiles: string }> {
  await prepareMachine();
  const built = await programs();
  await linkPrograms(built);
  const debian = await made(await debianStage());
  await made(await nodejsStage(debian));
  const nodeBase = await made(await nodeBaseStage(debian));
  const virt = await made(await virtStage(debian));
  const archive = await made(await archiveStage({ debian, virt }, foldersOf(built)));
  const node = await made(await nodeStage(nodeBase, archive, foldersOf(built)));
  return { node, kubevirtFiles: built.kubevirt.folder };
}

export async function up(): Promise<void> {
  const { node, kubevirtFiles } = await prepare();
  if (await isUp(node.image)) {
    tell('the nodes run already');
    await nodesReady();
  } else {
    await rememberUserfaultfd();
    await step('what is left of an earlier cluster is removed', deleteCluster);
    await step('kind creates the nodes, usually 45 seconds', () => createCluster(node.image));
  }
  await connectWorkers();
  await deployNetwork();
  await deployKubevirt(kubevirtFiles);
  await step('the test guest comes to the workers', provideGuest);
  await step('KubeVirt deploys itself, usually 2 minutes', kubevirtAvailable);
}
