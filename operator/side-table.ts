// SPDX-License-Identifier: Apache-2.0
/** What is done with each side's VMI and pod: one table. Pure; each input meets exactly one row. */
import { mayYetSpeak, type Loss, type SideView } from './observe.js';
import type { Row } from './mind/table.js';

export type SideAction = 'none' | 'create' | 'deleteVmi' | 'forcePod' | 'forget';

/** How its end is known. */
export type SideState =
  | 'planned' // decided, nothing made yet
  | 'gone' // nothing of it is left
  | 'ended' // it has ended, by its own or its kubelet's word
  | 'silent' // it does not answer, and nothing is expected of it any more
  | 'other'; // it says what it is, or is coming up

export interface SideInput {
  readonly state: SideState;
  readonly loss: Loss;
  /** `doomed`: deletion was asked for, and is not done yet. */
  readonly vmi: 'absent' | 'there' | 'doomed';
  readonly pod: boolean;
  /** The kubelet of its node is heard; without one, nobody carries out a deletion there. */
  readonly nodeReady: boolean;
  /** It shall go: its VM is deleted, or it is a backup that nobody wants any more. */
  readonly unwanted: boolean;
}

/** Nothing can run there any more, or the lease has decided against what does. */
const harmless = (i: SideInput): boolean => i.state === 'ended' || i.loss === 'lost';
const exists = (i: SideInput): boolean => i.state !== 'planned' && i.state !== 'gone';
const mustGo = (i: SideInput): boolean =>
  exists(i) && (i.state === 'ended' || (i.state === 'silent' && i.loss === 'lost') || i.unwanted);
/** To ask for the deletion of what may be the live side, on a node that does not hear, would end it when it comes back. */
const mayBeLive = (i: SideInput): boolean => !harmless(i) && !i.nodeReady;

export const SIDE_TABLE: readonly Row<SideInput, SideAction>[] = [
  {
    reason: 'Create',
    words: 'it was decided, and is made',
    action: 'create',
    when: (i) => i.state === 'planned' && !i.unwanted,
  },
  {
    reason: 'Withdrawn',
    words: 'it was decided, and is not wanted any more',
    action: 'forget',
    when: (i) => i.state === 'planned' && i.unwanted,
  },
  {
    reason: 'Gone',
    words: 'nothing of it is left',
    action: 'forget',
    when: (i) => i.state === 'gone',
  },
  {
    reason: 'Keep',
    words: 'it is what it shall be, or may become it',
    action: 'none',
    when: (i) => exists(i) && !mustGo(i),
  },
  {
    reason: 'MayBeLive',
    words:
      'its node does not answer and it may run the VM: it is left alone until the node is back, or is removed',
    action: 'none',
    when: (i) => mustGo(i) && mayBeLive(i),
  },
  {
    reason: 'Remove',
    words: 'its VMI is deleted',
    action: 'deleteVmi',
    when: (i) => mustGo(i) && !mayBeLive(i) && i.vmi === 'there',
  },
  {
    reason: 'RemoveFromDeadNode',
    words: 'its node does not answer, and it can run the VM no more: its pod is removed by force',
    action: 'forcePod',
    when: (i) => mustGo(i) && !mayBeLive(i) && i.vmi !== 'there' && i.pod && !i.nodeReady,
  },
  {
    reason: 'Ending',
    words: 'its deletion is under way',
    action: 'none',
    when: (i) => mustGo(i) && !mayBeLive(i) && i.vmi !== 'there' && !(i.pod && !i.nodeReady),
  },
];

function stateOf(view: SideView): SideState {
  const { kind } = view;
  if (kind === 'silent' && mayYetSpeak(view)) return 'other';
  return kind === 'planned' || kind === 'gone' || kind === 'ended' || kind === 'silent' ? kind : 'other';
}

export function sideInput(view: SideView, unwanted: boolean): SideInput {
  const { vmi, pod } = view;
  return {
    state: stateOf(view),
    loss: view.loss,
    vmi: vmi === null ? 'absent' : vmi.metadata.deletionTimestamp === undefined ? 'there' : 'doomed',
    pod: pod !== null,
    nodeReady: view.nodeReady ?? true,
    unwanted,
  };
}
