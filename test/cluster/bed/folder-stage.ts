// SPDX-License-Identifier: Apache-2.0
// A stage whose product is a folder of the cache, called NAME-KEY.
import { access, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { removeOthers } from './leftovers.js';
import { stageKey, type Inputs, type Stage } from './stage.js';

export interface FolderStage extends Stage {
  /** Where the product is, once made. */
  readonly folder: string;
}

/** @param make fills a folder; it gets its name only when it is whole */
export function folderStage(
  name: string,
  usually: string,
  parent: string,
  inputs: Inputs,
  make: (folder: string) => Promise<void>,
): FolderStage {
  const key = stageKey(inputs);
  const folder = join(parent, `${name}-${key}`);
  return {
    name,
    key,
    usually,
    folder,
    isThere: () =>
      access(folder).then(
        () => true,
        () => false,
      ),
    make: async () => {
      const part = `${folder}.part`;
      await rm(part, { recursive: true, force: true });
      await mkdir(part, { recursive: true });
      await make(part);
      await rename(part, folder);
      await removeOthers(parent, name, key);
    },
  };
}
