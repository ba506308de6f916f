// SPDX-License-Identifier: Apache-2.0
// What must be undone however a run ends: in reverse order, each once, all of it even when some of it fails.
import { messageOf } from '../cli/local/errors.js';

type Undo = () => unknown;

export class Cleanup {
  readonly #undos = new Set<Undo>();

  /** Returns a function that undoes it now, instead of at the end. */
  add(undo: Undo): () => Promise<void> {
    this.#undos.add(undo);
    return async () => {
      if (this.#undos.delete(undo)) await undo();
    };
  }

  /** @returns what failed, in words. */
  async run(): Promise<string[]> {
    const failed: string[] = [];
    for (const undo of [...this.#undos].reverse()) {
      this.#undos.delete(undo);
      try {
        await undo();
      } catch (error) {
        failed.push(messageOf(error));
      }
    }
    return failed;
  }
}
