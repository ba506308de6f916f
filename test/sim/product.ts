// SPDX-License-Identifier: Apache-2.0
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import type { CopySource } from '../../sidecar/protocol/disk/copy-source.js';
import type { CopyTarget } from '../../sidecar/protocol/disk/copy-target.js';
import type { DiskDesk } from '../../sidecar/protocol/disk/desk.js';
import type { byAge, imageState } from '../../sidecar/protocol/disk/newest.js';
import type { makeLimits } from '../../sidecar/protocol/limits.js';
import type { Sidecar } from '../../sidecar/protocol/sidecar.js';

/** The code under test. From its build folder, so that a changed copy of it can stand in its place. */
export interface Product {
  readonly Sidecar: typeof Sidecar;
  readonly makeLimits: typeof makeLimits;
  readonly disk: DiskProduct;
}

export interface DiskProduct {
  readonly DiskDesk: typeof DiskDesk;
  readonly CopySource: typeof CopySource;
  readonly CopyTarget: typeof CopyTarget;
  readonly byAge: typeof byAge;
  readonly imageState: typeof imageState;
}

/** `folder`: a build of sidecar/protocol. */
export async function loadProduct(folder: string): Promise<Product> {
  const load = async (file: string): Promise<unknown> => import(pathToFileURL(join(folder, file)).href);
  const { Sidecar } = (await load('sidecar.js')) as Pick<Product, 'Sidecar'>;
  const { makeLimits } = (await load('limits.js')) as Pick<Product, 'makeLimits'>;
  const { DiskDesk } = (await load('disk/desk.js')) as Pick<DiskProduct, 'DiskDesk'>;
  const { CopySource } = (await load('disk/copy-source.js')) as Pick<DiskProduct, 'CopySource'>;
  const { CopyTarget } = (await load('disk/copy-target.js')) as Pick<DiskProduct, 'CopyTarget'>;
  const newest = (await load('disk/newest.js')) as Pick<DiskProduct, 'byAge' | 'imageState'>;
  const { byAge, imageState } = newest;
  return { Sidecar, makeLimits, disk: { DiskDesk, CopySource, CopyTarget, byAge, imageState } };
}
