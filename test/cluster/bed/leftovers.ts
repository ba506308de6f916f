// SPDX-License-Identifier: Apache-2.0
// What earlier keys of a stage left behind: removed when a new one is made, so that the cache doesn't grow.
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../../cli/local/errors.js';
import { podman } from './command.js';
import { tell } from './progress.js';
import { STAGE_PREFIX } from './settings.js';

/** Of folders called NAME-KEY, those of stage `name` under another key than `key`. Pure. */
export function othersOf(entries: readonly string[], name: string, key: string): string[] {
  const isOfStage = (entry: string) => /^(.*)-[0-9a-f]{12}(?:\.part)?$/.exec(entry)?.[1] === name;
  return entries.filter((entry) => isOfStage(entry) && entry !== `${name}-${key}`);
}

/** Removes them but for the newest: two checkouts in turn don't take each other's away. */
export async function removeOthers(folder: string, name: string, key: string): Promise<void> {
  const others = othersOf(await readdir(folder), name, key).map((entry) => join(folder, entry));
  const aged = await Promise.all(others.map(async (path) => ({ path, made: (await stat(path)).mtimeMs })));
  aged.sort((one, other) => other.made - one.made);
  for (const { path } of aged.slice(1)) await rm(path, { recursive: true });
}

/**
 * Of podman's list, images of a stage under other keys. Its filter by reference finds images, and tells each by all the
 * names that it has: the public ones that a stage's image is used by are not to be taken away. Pure.
 */
export function otherImagesOf(listed: string, name: string, key: string): string[] {
  const repository = `${STAGE_PREFIX}/${name}`;
  return listed
    .split('\n')
    .filter((image) => image.startsWith(`${repository}:`) && image !== `${repository}:${key}`);
}

/** Removes stage images under other keys than `key`. One that a container still uses stays, which is told. */
export async function removeOtherImages(name: string, key: string): Promise<void> {
  const filter = `reference=${STAGE_PREFIX}/${name}`;
  const listed = await podman(['images', '--format', '{{.Repository}}:{{.Tag}}', '--filter', filter]);
  for (const image of otherImagesOf(listed, name, key))
    await podman(['rmi', image]).catch((error: unknown) => tell(`${image} stays: ${messageOf(error)}`));
}
