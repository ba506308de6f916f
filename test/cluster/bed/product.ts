// SPDX-License-Identifier: Apache-2.0
// The product on the cluster: its images, built by the Dockerfile that releases are built by, brought to the nodes, and
// the chart. Layers that did not change are neither built nor sent again; pods whose image did not change run on.
import { join } from 'node:path';
import { REPO } from '../../../cli/local/layout.js';
import { podman, runLong } from './command.js';
import { loadImage } from './load.js';
import { step } from './progress.js';
import { BIN, CLUSTER_VALUES, NODE_NAMES, WORKER_NAMES } from './settings.js';

const BUILD_TIMEOUT_MS = 20 * 60_000;
const INSTALL_TIMEOUT_MS = 7 * 60_000;
/** Of podman's image ids, which are as long as a SHA-256. */
const ID_DIGITS = 12;

export const PRODUCT_TARGETS = ['operator', 'sidecar', 'redis'] as const;
export type ProductTarget = (typeof PRODUCT_TARGETS)[number];
const PREFIX = 'localhost/lockstep';
/** Where the product is installed (docs/install.md). */
export const RELEASE = 'lockstep';
export const RELEASE_NAMESPACE = 'lockstep-system';

/** Only VMs keep off the control plane: the lease store stands there (test/cluster/values.yaml), and it is prepared as all nodes. */
const nodesOf = (target: ProductTarget): readonly string[] =>
  target === 'sidecar' ? WORKER_NAMES : NODE_NAMES;

/** A reference that changes with what is in the image: a new build is a new tag, and a pod of it a new pod. Pure. */
export const referenceOf = (target: ProductTarget, id: string): string =>
  `${PREFIX}/${target}:${id.slice(0, ID_DIGITS)}`;

/** Of podman's list, tags of earlier builds of the same image. Pure. */
export function earlierTags(listed: string, target: ProductTarget, current: string): string[] {
  return listed
    .split('\n')
    .filter((name) => name.startsWith(`${PREFIX}/${target}:`) && name !== current && !name.endsWith(':dev'));
}

/** Gives the image a tag by its content, and takes those of earlier builds away. */
async function tag(target: ProductTarget): Promise<string> {
  const built = `${PREFIX}/${target}:dev`;
  const id = (await podman(['image', 'inspect', '--format', '{{.Id}}', built])).trim();
  const reference = referenceOf(target, id);
  await podman(['tag', built, reference]);
  const listed = await podman(['images', '--format', '{{.Repository}}:{{.Tag}}']);
  for (const old of earlierTags(listed, target, reference)) await podman(['untag', old]);
  return reference;
}

export type ProductImages = Readonly<Record<ProductTarget, string>>;

/** Builds all three and brings them to the nodes. */
export async function provideImages(): Promise<ProductImages> {
  await step(`product images: ${PRODUCT_TARGETS.join(', ')}`, () =>
    runLong('bash', [join(REPO, 'images/build.sh'), ...PRODUCT_TARGETS], {
      timeoutMs: BUILD_TIMEOUT_MS,
      log: 'product',
    }),
  );
  const references: [ProductTarget, string][] = [];
  for (const target of PRODUCT_TARGETS) {
    const image = await tag(target);
    await step(`${image} comes to its nodes`, () => loadImage(image, nodesOf(target)));
    references.push([target, image]);
  }
  return Object.fromEntries(references) as ProductImages;
}

/** As docs/install.md says. Returns when the chart's own check says that everything answers. */
export async function install(images: ProductImages): Promise<void> {
  const set = PRODUCT_TARGETS.flatMap((target) => ['--set', `images.${target}=${images[target]}`]);
  const where = ['--namespace', RELEASE_NAMESPACE, '--create-namespace'];
  const chart = [RELEASE, join(REPO, 'helm'), ...where, '--wait', '--values', CLUSTER_VALUES, ...set];
  await step('helm installs the product', () =>
    runLong(join(BIN, 'helm'), ['upgrade', '--install', ...chart], {
      timeoutMs: INSTALL_TIMEOUT_MS,
      log: 'helm',
    }),
  );
}

export async function provideProduct(): Promise<void> {
  await install(await provideImages());
}
