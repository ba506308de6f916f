// SPDX-License-Identifier: Apache-2.0
/** The words. One reason is used as status, event, metric label, log line and wire value. */

/** Why a hello is refused. `Temporary` ones are worth asking again. */
export const REFUSE_REASONS = [
  'protocolVersion',
  'otherVm',
  'engineKind',
  'logVersion',
  'qemuVersion',
  'deviceHash',
  'busy',
  'notOwner',
  'disabled',
  'resumeUnknown',
  'resumeLost',
] as const;
export type RefuseReason = (typeof REFUSE_REASONS)[number];

/** Why a backup may never go live. */
export const BAR_REASONS = [
  'divergence',
  'stuck',
  'logCorrupt',
  'engineFailed',
  'loadFailed',
  'overflow',
  'diskFailed',
] as const;
export type BarReason = (typeof BAR_REASONS)[number];

/** Somebody leaves on purpose, without need of a successor. */
export const GOODBYE_REASONS = ['vmNotRunning', 'userAction'] as const;
export type OnPurposeReason = (typeof GOODBYE_REASONS)[number];

export function isOnPurpose(reason: string): reason is OnPurposeReason {
  return (GOODBYE_REASONS as readonly string[]).includes(reason);
}

/** Why a primary asks its backup to take over. */
export const HANDOVER_REASONS = ['userAction', 'engineFailed'] as const;
export type HandoverReason = (typeof HANDOVER_REASONS)[number];

/** Why a side holds that its peer is gone. */
export const LOSS_REASONS = [
  'silence',
  'notHeard',
  'lostConnection',
  'ownStall',
  'handover',
  'userAction',
  'vmNotRunning',
  'violation',
  'cloneFailed',
  ...BAR_REASONS,
] as const;
export type LossReason = (typeof LOSS_REASONS)[number];

/** Why a sidecar and its engine end. */
export type EndReason =
  | 'vmNotRunning'
  | 'leaseLost'
  | 'superseded'
  | 'leaseRefused'
  | 'engineFailed'
  | 'userAction'
  | 'lostConnection'
  | 'neverArmed'
  | 'noPrimary'
  | 'refused'
  | 'cloneFailed'
  | 'stuckAfterWin'
  | 'replayShort'
  | 'broken'
  | BarReason;

/**
 * Why the lease cannot be relied on just now. `run`: Redis began another life since arm and never promised to be
 * durable; `notDurable`: it promised at arm, and does not keep it now. `wrongPassword` to `diskError` are what a store that
 * answers says against a look as against a claim; `storeError` is whatever else it says.
 */
export type LeaseTrouble =
  | 'unreachable'
  | 'timeout'
  | 'wrongPassword'
  | 'notAllowed'
  | 'readOnly'
  | 'outOfMemory'
  | 'diskError'
  | 'storeError'
  | 'damaged'
  | 'missing'
  | 'foreignStore'
  | 'epochLower'
  | 'epochHigher'
  | 'notNamed'
  | 'run'
  | 'notDurable';
