// SPDX-License-Identifier: Apache-2.0
import type { Epoch, Lsn, Millis, Nonce } from './types.js';
import type { EndReason, LeaseTrouble, LossReason, RefuseReason } from './reasons.js';

/** Where a primary is. */
export type PrimaryPhase =
  'founding' | 'alone' | 'cloning' | 'catchingUp' | 'arming' | 'protected' | 'handingOver' | 'claiming';

/** Where a backup is. */
export type BackupPhase = 'joining' | 'loading' | 'following' | 'armed' | 'claiming' | 'goingLive';

export type Phase = PrimaryPhase | BackupPhase | 'ended';

/** The words that people of vSphere FT know. */
export type Protection =
  | { readonly word: 'Protected' }
  | {
      readonly word: 'Not Protected';
      readonly state: 'Starting' | 'Need Secondary VM' | 'Disabled' | 'VM not Running';
      readonly reason: NeedReason;
    };

/** Why there is no protection just now. */
export type NeedReason = 'initializing' | 'leaseUnusable' | 'stall' | LossReason | EndReason | RefuseReason;

/** What is true now; also the payload of the status endpoint. */
export interface Status {
  readonly role: 'primary' | 'backup' | 'ended';
  readonly phase: Phase;
  readonly epoch: Epoch;
  readonly nonce: Nonce;
  /** The other side, if there is one. */
  readonly peer: Nonce | null;
  readonly protection: Protection;
  /** Not null: the lease store has a problem; the guest runs on. */
  readonly lease: LeaseTrouble | null;
}

/** Fast numbers for metrics and the status endpoint; read at any time with `sidecar.numbers(now)`. */
export interface Numbers {
  readonly produced: Lsn;
  readonly acked: Lsn;
  readonly consumed: Lsn;
  /** Guest time that the backup is behind, ms. */
  readonly lagMs: Millis;
  readonly pacePermille: number;
  readonly heldOutputs: number;
  readonly heldBytes: number;
  /** Outputs of which the primary keeps the digest: not compared. */
  readonly keptDigests: number;
  readonly retainedOutputs: number;
  readonly retainedBytes: number;
  /** Age of the last thing heard from the peer, ms; 0 without a peer. */
  readonly heardAgeMs: Millis;
}

export function sameStatus(a: Status, b: Status): boolean {
  return (
    a.role === b.role &&
    a.phase === b.phase &&
    a.epoch === b.epoch &&
    a.peer === b.peer &&
    a.lease === b.lease &&
    sameProtection(a.protection, b.protection)
  );
}

function sameProtection(a: Protection, b: Protection): boolean {
  if (a.word === 'Protected' || b.word === 'Protected') return a.word === b.word;
  return a.state === b.state && a.reason === b.reason;
}
