// SPDX-License-Identifier: Apache-2.0
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One guard taken out of the compiled protocol. */
export interface Mutant {
  readonly name: string;
  /** What is no longer done. */
  readonly without: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export const MUTANTS: readonly Mutant[] = [];

/** The product's own build of the protocol. */
export function originalFolder(): string {
  return fileURLToPath(new URL('../../sidecar/protocol', import.meta.url));
}

/** Runs `use` on a copy of the protocol without one guard. Fails if the guard's text is not there exactly once. */
export async function withMutant<T>(mutant: Mutant, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-mutant-'));
  try {
    await cp(originalFolder(), folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    const path = join(folder, mutant.file);
    const text = await readFile(path, 'utf8');
    const pieces = text.split(mutant.find);
    if (pieces.length !== 2) {
      throw new Error(
        `mutant ${mutant.name}: its guard is ${pieces.length - 1} times in ${mutant.file}; it must be there once`,
      );
    }
    await writeFile(path, pieces.join(mutant.replace));
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
