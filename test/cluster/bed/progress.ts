// SPDX-License-Identifier: Apache-2.0
// Lines that tell how far a long start is, each with the seconds since its beginning.
import { say } from '../../../cli/verbs/talk.js';

const startedAt = performance.now();

export const elapsedS = (): number => Math.round((performance.now() - startedAt) / 1000);

export function tell(line: string): void {
  say(`cluster: [${String(elapsedS()).padStart(4)} s] ${line}`);
}

/** Tells the beginning of a step and how long it took. */
export async function step<T>(what: string, work: () => Promise<T>): Promise<T> {
  tell(`${what} ...`);
  const began = elapsedS();
  const result = await work();
  tell(`${what}: done in ${elapsedS() - began} s`);
  return result;
}
