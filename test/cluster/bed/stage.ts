// SPDX-License-Identifier: Apache-2.0
// A stage is something that takes minutes to make and is kept under a key of all that went into it.
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { step, tell } from './progress.js';

/** Name → what it is. The order in which they are given does not matter. */
export type Inputs = Readonly<Record<string, string>>;

const KEY_DIGITS = 12;

/** Key of a stage: equal inputs, equal key. Pure. */
export function stageKey(inputs: Inputs): string {
  const hash = createHash('sha256');
  for (const name of Object.keys(inputs).sort()) {
    // Lengths keep two inputs from reading as one.
    const value = inputs[name] ?? '';
    hash.update(`${name.length}:${name}=${value.length}:${value}\n`);
  }
  return hash.digest('hex').slice(0, KEY_DIGITS);
}

async function filesBelow(place: string): Promise<string[]> {
  if ((await stat(place)).isFile()) return [place];
  const entries = await readdir(place, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Digests of all files at `places` (files or folders, below `root`), as inputs. */
export async function fileInputs(root: string, places: readonly string[]): Promise<Inputs> {
  const found = (await Promise.all(places.map((place) => filesBelow(join(root, place))))).flat();
  const digests = found.map(async (file): Promise<[string, string]> => [
    relative(root, file),
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex'),
  ]);
  return Object.fromEntries(await Promise.all(digests));
}

export interface Stage {
  readonly name: string;
  readonly key: string;
  /** Roughly how long it takes from nothing, for the line that tells its beginning. */
  readonly usually: string;
  isThere(): Promise<boolean>;
  make(): Promise<void>;
}

/** Makes a stage unless it is there. Returns whether it was made. */
export async function ensure(stage: Stage): Promise<boolean> {
  if (await stage.isThere()) {
    tell(`${stage.name}: kept from before (${stage.key})`);
    return false;
  }
  await step(`${stage.name}: making it, usually ${stage.usually}`, () => stage.make());
  return true;
}
