// SPDX-License-Identifier: Apache-2.0
/** How sides end, and what an end means for the next attempt. Pure. */
import type { End, FtvmStatus, Side } from './api/ftvm.js';
import type { SideView } from './observe.js';
import { sentenceSaid, wordSaid } from './said.js';

export interface NewEnd {
  readonly vmi: string;
  readonly side: Side;
  readonly end: End;
}

/** The best account of an end: the sidecar's own, its last complaint, the node's, or KubeVirt's. */
export function endOf(view: SideView): End {
  const { reason, message } = accountOf(view);
  return { reason: wordSaid(reason, 'Ended'), message: sentenceSaid(message) };
}

function accountOf({ epitaph, status, pod, vmi }: SideView): End {
  if (epitaph !== null) return { reason: epitaph.reason, message: epitaph.detail };
  if (status?.trouble) return { reason: status.trouble.reason, message: status.trouble.message };
  const all = [...(pod?.status?.initContainerStatuses ?? []), ...(pod?.status?.containerStatuses ?? [])];
  // An init container that did its work has ended as well.
  const terminated = all.find(({ state }) => (state?.terminated?.exitCode ?? 0) !== 0);
  if (terminated !== undefined) {
    const { exitCode, reason = 'terminated' } = terminated.state?.terminated ?? { exitCode: 0 };
    return { reason: 'Ended', message: `container ${terminated.name}: ${reason}, exit code ${exitCode}` };
  }
  const said = vmi?.status?.conditions?.find(({ status: is, message }) => is === 'False' && message);
  return { reason: 'Ended', message: said?.message ?? `its VMI is ${vmi?.status?.phase ?? 'gone'}` };
}

/** Those that nobody has noted yet. */
export const newEnds = (views: readonly SideView[]): NewEnd[] =>
  views
    .filter(({ kind, side }) => kind === 'ended' && side.ended === undefined)
    .map((view) => ({ vmi: view.side.vmi, side: view.side, end: endOf(view) }));

/**
 * An attempt that ended without a new epoch has failed; a new epoch is a success of whoever made it. To be asked before
 * anything is decided: the pause after a failure begins with the look that sees it.
 */
export function retryOf(
  { retry, epoch: epochBefore = 0 }: FtvmStatus,
  epoch: number,
  ends: readonly NewEnd[],
  now: string,
): FtvmStatus['retry'] {
  const failed = ends.some(({ side }) => epoch <= side.sinceEpoch);
  if (failed) return { failures: (epoch > epochBefore ? 0 : (retry?.failures ?? 0)) + 1, since: now };
  return epoch > epochBefore ? undefined : retry;
}
