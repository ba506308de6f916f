// SPDX-License-Identifier: Apache-2.0
// The test guest as an image, on the workers.
import { join } from 'node:path';
import { REPO } from '../../../cli/local/layout.js';
import { runLong } from './command.js';
import { buildImage } from './images.js';
import { loadImage } from './load.js';
import { GUEST_IMAGE, IMAGES, WORKER_NAMES } from './settings.js';

const BUILD_TIMEOUT_MS = 5 * 60_000;

/** Does only what is new: the guest is built from packages that are kept, an image that the nodes have is not sent. */
export async function provideGuest(): Promise<void> {
  await runLong('bash', [join(REPO, 'test/guest/build.sh')], { timeoutMs: BUILD_TIMEOUT_MS, log: 'guest' });
  await buildImage({
    log: 'guest',
    dockerfile: join(IMAGES, 'guest.Dockerfile'),
    context: join(REPO, 'build/guest'),
    tag: GUEST_IMAGE,
    layers: true,
  });
  await loadImage(GUEST_IMAGE, WORKER_NAMES);
}
