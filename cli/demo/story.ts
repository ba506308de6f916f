// SPDX-License-Identifier: Apache-2.0
// What the demonstration does, step by step; each step leaves its line in the timeline.
import { LocalError } from '../local/errors.js';
import { cutPower } from '../local/hosts.js';
import { hostOf } from '../local/layout.js';
import type { Pair } from '../local/settings.js';
import { pairStatus, type PairStatus } from '../local/status.js';
import { askFailover, waitMoved } from '../verbs/failover.js';
import { waitProtected, wantProtection } from '../verbs/protect.js';
import { waitFor, type Look } from '../verbs/talk.js';
import type { Client } from './client.js';
import type { Finished } from './reports.js';
import type { Timeline } from './timeline.js';

const PROTECT_MS_MAX = 180_000;
const TAKE_OVER_MS_MAX = 60_000;
/** Replies that a phase must have seen before the next one begins. */
const REPLIES_A_PHASE = 300;

export interface Stage {
  readonly pair: Pair;
  readonly client: Client;
  readonly timeline: Timeline;
  /** Throws when a person has had enough. */
  readonly goOn: () => void;
}

/** Lets the client count for a while, and tells what it saw since the last time. */
async function counted(stage: Stage, what: string): Promise<void> {
  const { client, timeline } = stage;
  let replies = 0;
  let worst = { ms: 0, atMs: 0 };
  let medianMs = 0;
  const acknowledged = await waitFor(
    `${REPLIES_A_PHASE} replies`,
    TAKE_OVER_MS_MAX,
    async (): Promise<Look<number>> => {
      stage.goOn();
      const window = await client.window();
      replies += window.replies;
      if (window.replies > 0) medianMs = window.medianMs;
      if (window.worstMs > worst.ms) worst = { ms: window.worstMs, atMs: window.worstAtMs };
      return replies >= REPLIES_A_PHASE ? { done: window.acknowledged } : { meanwhile: 'the client counts' };
    },
  );
  timeline.gap(what, { acknowledged, replies, medianMs, worstMs: worst.ms });
}

async function protectedBy(stage: Stage, also?: (status: PairStatus) => boolean): Promise<PairStatus> {
  const status = await waitProtected(stage.pair, PROTECT_MS_MAX, (seen) => {
    stage.goOn();
    return also === undefined || also(seen);
  });
  stage.timeline.add(
    `Protected: primary on host ${status.primary ?? '?'}, backup on host ${status.backup ?? '?'} (epoch ${status.epoch ?? '?'})`,
  );
  return status;
}

async function killPrimary(stage: Stage): Promise<void> {
  const { pair, timeline } = stage;
  const { primary, epoch } = await pairStatus(pair);
  if (primary === null) throw new LocalError('STATE', 'nobody runs the VM');
  timeline.add(`SIGKILL to host ${primary}: QEMU, sidecar and agent die at once`);
  await cutPower(pair.layout, hostOf(pair.layout, primary));
  const moved = await waitMoved(pair, primary, TAKE_OVER_MS_MAX);
  timeline.add(`host ${moved.primary ?? '?'} runs the VM now; the same connection goes on`);
  await counted(stage, `kill of host ${primary}`);
  await protectedBy(stage, (status) => (status.epoch ?? 0) > (epoch ?? 0));
  await counted(stage, 'new backup');
}

async function plannedFailover(stage: Stage): Promise<void> {
  stage.timeline.add('planned failover asked for');
  const from = await askFailover(stage.pair);
  const moved = await waitMoved(stage.pair, from, TAKE_OVER_MS_MAX);
  stage.timeline.add(`host ${moved.primary ?? '?'} runs the VM now`);
  await counted(stage, 'planned failover');
  await protectedBy(stage, (status) => status.primary !== from);
}

/** Everything between the VM's start and its end. @throws when anything acknowledged is lost or the connection breaks. */
export async function tell(stage: Stage): Promise<Finished> {
  stage.timeline.add(`a client counts in the guest's Redis, over one TCP connection`);
  await counted(stage, 'unprotected');
  await wantProtection(stage.pair);
  stage.timeline.add('protection asked for: the running VM is cloned to the other host');
  await protectedBy(stage);
  await counted(stage, 'clone');
  await counted(stage, 'protected');
  await killPrimary(stage);
  await killPrimary(stage);
  await plannedFailover(stage);
  const finished = await stage.client.finish();
  if (finished.found === finished.acknowledged) return finished;
  throw new LocalError(
    'COMMAND_FAILED',
    `${finished.acknowledged} increments were acknowledged and ${finished.found} found`,
  );
}
