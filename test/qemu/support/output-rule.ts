// SPDX-License-Identifier: Apache-2.0
// One kill at the instant a chosen reply is seen outside, and what the guest says afterwards.
import { readPidFile } from '../../../cli/local/processes.js';
import type { Prng } from '../../sim/prng.js';
import { consoleHasEnough, processesOfSide, requireGone } from './cycle.js';
import { outputPoints, type OutputPoints } from './markers.js';
import type { TestPair } from './pair.js';
import { sharedSerial } from './serial.js';
import type { Witness } from './witness.js';

/** A kill comes at a random reply among so many: half a second to a second of the pair's life. */
export const REPLIES_MAX = 400;

export interface Kill {
  /** Replies after protection at which it struck. */
  readonly after: number;
  /** Number of the note at whose sight it struck. */
  readonly seen: number;
  /** Notes made when the guest was asked again, each as it was seen. */
  readonly notes: number;
  /** Longest silence that the witness met, ms. */
  readonly worstMs: number;
  /** Of the log that the backup replayed and went on writing. */
  readonly points: OutputPoints;
}

/**
 * From protected to protected: the primary's host dies as a reply is seen, sidecar first, because only it could still
 * send something.
 * @throws Contradiction; Error for whatever else is wrong
 */
export async function killAtReply(pair: TestPair, witness: Witness, random: Prng): Promise<Kill> {
  const [primary, backup] = [await pair.primary(), await pair.backup()];
  const agent = await readPidFile(primary.host.agentPid);
  if (agent === undefined) throw new Error(`host ${primary.host.name} has no agent`);
  await consoleHasEnough(backup);
  await pair.wantProtection(false);
  const doomed = [agent, ...(await processesOfSide(primary))];
  const after = random.int(1, REPLIES_MAX);
  const seen = await witness.killAfter(after, [primary.sidecarPid, primary.qemuPid, agent.pid]);
  await pair.untilLive(backup);
  await requireGone(doomed);
  const { notes, worstMs } = await witness.verify();
  sharedSerial(primary, backup);
  const points = outputPoints(backup.ringFile);
  await pair.protect();
  return { after, seen, notes, worstMs, points };
}
