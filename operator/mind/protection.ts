// SPDX-License-Identifier: Apache-2.0
/**
 * What a controller does about the VM's protection: one table, for the pair on one machine and for the operator. Pure.
 * Each input meets exactly one row; the test walks them all.
 */
import type { Lead } from './sides.js';
import type { Row } from './table.js';

export interface ProtectionInput {
  readonly lead: Lead;
  /** Somebody wants a backup for it. */
  readonly wanted: boolean;
  /** Some side is about to be something: starting, deciding, a backup, or ordered to become one. */
  readonly pending: boolean;
  /** Some side does not say what it is. */
  readonly mute: boolean;
  /** There is room for another side. */
  readonly spare: boolean;
  /** The last attempt failed a moment ago. */
  readonly backingOff: boolean;
  /** Nobody was ever its owner: by starting it nothing can be lost, nor can it run twice. */
  readonly unborn: boolean;
  /** A person has said that both sides are dead and that it shall be started anew. */
  readonly asked: boolean;
  /** The lease store does not say who was owner last: without it nothing is started. */
  readonly storeAway: boolean;
}

/** `found` starts the VM for the first time, `refound` anew after the death of both sides. */
export type ProtectionAction = 'none' | 'startBackup' | 'found' | 'refound';

const canProtect = (i: ProtectionInput): boolean => i.lead === 'alone' && i.wanted && !i.pending;
/** No side runs it, none is about to, and each one says so. */
const isDown = (i: ProtectionInput): boolean => i.lead === 'none' && !i.pending && !i.mute;
const canStart = (i: ProtectionInput): boolean => isDown(i) && !i.storeAway;
/** It may be started: nobody was ever its owner, or a person has said so. */
const mayStart = (i: ProtectionInput): boolean => canStart(i) && (i.unborn || i.asked);

/** After the loss of both sides the VM is started only when a person has said so. */
export const PROTECTION_TABLE: readonly Row<ProtectionInput, ProtectionAction>[] = [
  {
    reason: 'TwoOwners',
    words: 'two sides say that they run the VM; this must never be',
    action: 'none',
    when: (i) => i.lead === 'two',
  },
  {
    reason: 'Protected',
    words: 'the VM outlives the loss of either host',
    action: 'none',
    when: (i) => i.lead === 'guarded',
  },
  {
    reason: 'Pairing',
    words: 'a backup is being made',
    action: 'none',
    when: (i) => i.lead === 'pairing',
  },
  {
    reason: 'NotWanted',
    words: 'the VM runs unprotected, as nobody asked for more',
    action: 'none',
    when: (i) => i.lead === 'alone' && !i.wanted,
  },
  {
    reason: 'Settling',
    words: 'another host is not done with what it does',
    action: 'none',
    when: (i) => i.lead === 'alone' && i.wanted && i.pending,
  },
  {
    reason: 'NoSpareHost',
    words: 'no other host is free to hold a backup',
    action: 'none',
    when: (i) => canProtect(i) && !i.spare,
  },
  {
    reason: 'BackingOff',
    words: 'the last backup failed; the next one follows after a pause',
    action: 'none',
    when: (i) => canProtect(i) && i.spare && i.backingOff,
  },
  {
    reason: 'NeedBackup',
    words: 'the VM is alone and another host is free',
    action: 'startBackup',
    when: (i) => canProtect(i) && i.spare && !i.backingOff,
  },
  {
    reason: 'Deciding',
    words: 'no side runs the VM at this moment; one is about to',
    action: 'none',
    when: (i) => i.lead === 'none' && i.pending,
  },
  {
    reason: 'Unknown',
    words: 'a host that may run the VM does not answer',
    action: 'none',
    when: (i) => i.lead === 'none' && !i.pending && i.mute,
  },
  {
    reason: 'StoreAway',
    words: 'the VM runs nowhere, and the lease store does not answer: without it nothing is started',
    action: 'none',
    when: (i) => isDown(i) && i.storeAway,
  },
  {
    reason: 'NoNode',
    words: 'the VM shall start, and there is no node for it',
    action: 'none',
    when: (i) => mayStart(i) && !i.spare,
  },
  {
    reason: 'StartFailed',
    words: 'the VM could not be started; the next attempt follows after a pause',
    action: 'none',
    when: (i) => mayStart(i) && i.spare && i.backingOff,
  },
  {
    reason: 'FirstStart',
    words: 'the VM is started for the first time',
    action: 'found',
    when: (i) => mayStart(i) && i.spare && !i.backingOff && i.unborn,
  },
  {
    reason: 'StartedAnew',
    words: 'the VM is started anew, as a person has said',
    action: 'refound',
    when: (i) => mayStart(i) && i.spare && !i.backingOff && !i.unborn,
  },
  {
    reason: 'VmDown',
    words: 'the VM runs nowhere; a person must start it again',
    action: 'none',
    when: (i) => canStart(i) && !i.unborn && !i.asked,
  },
];
