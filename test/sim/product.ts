// SPDX-License-Identifier: Apache-2.0
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import type { makeLimits } from '../../sidecar/protocol/limits.js';
import type { Sidecar } from '../../sidecar/protocol/sidecar.js';

/** The code under test. From its build folder, so that a changed copy of it can stand in its place. */
export interface Product {
  readonly Sidecar: typeof Sidecar;
  readonly makeLimits: typeof makeLimits;
}

/** `folder`: a build of sidecar/protocol. */
export async function loadProduct(folder: string): Promise<Product> {
  const load = async (file: string): Promise<unknown> => import(pathToFileURL(join(folder, file)).href);
  const { Sidecar } = (await load('sidecar.js')) as Pick<Product, 'Sidecar'>;
  const { makeLimits } = (await load('limits.js')) as Pick<Product, 'makeLimits'>;
  return { Sidecar, makeLimits };
}
