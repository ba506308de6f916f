// SPDX-License-Identifier: Apache-2.0
// The product's own images: built by the Dockerfile that releases are built by, and brought to the workers. Layers that
// did not change are neither built nor sent again.
import { join } from 'node:path';
import { REPO } from '../../../cli/local/layout.js';
import { runLong } from './command.js';
import { loadImage } from './load.js';
import { step } from './progress.js';
import { WORKER_NAMES } from './settings.js';

const BUILD_TIMEOUT_MS = 20 * 60_000;

export const PRODUCT_TARGETS = ['operator', 'sidecar', 'redis'] as const;
export const PRODUCT_PREFIX = 'localhost/lockstep';
export const PRODUCT_TAG = 'dev';

/** Pure. */
export const productImage = (target: string): string => `${PRODUCT_PREFIX}/${target}:${PRODUCT_TAG}`;

/** Containers with images of an earlier build go on with them: replace their pods. */
export async function provideProduct(targets: readonly string[] = PRODUCT_TARGETS): Promise<void> {
  const options = ['--prefix', PRODUCT_PREFIX, '--tag', PRODUCT_TAG];
  await step(`product images: ${targets.join(', ')}`, () =>
    runLong('bash', [join(REPO, 'images/build.sh'), ...options, ...targets], {
      timeoutMs: BUILD_TIMEOUT_MS,
      log: 'product',
    }),
  );
  for (const target of targets) {
    const image = productImage(target);
    await step(`${image} comes to the workers`, () => loadImage(image, WORKER_NAMES));
  }
}
