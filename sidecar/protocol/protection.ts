// SPDX-License-Identifier: Apache-2.0
import type { LeaseTrouble, LossReason } from './reasons.js';
import type { BackupPhase, PrimaryPhase, Protection } from './status.js';

export interface PrimaryFacts {
  readonly phase: PrimaryPhase;
  readonly enabled: boolean;
  readonly rearming: boolean;
  readonly suspect: boolean;
  readonly lastLoss: LossReason | null;
  readonly lease: LeaseTrouble | null;
}

const PROTECTED: Protection = { word: 'Protected' };

/** What people are told about a primary. */
export function primaryProtection(facts: PrimaryFacts): Protection {
  const { phase, enabled, rearming, suspect, lastLoss, lease } = facts;
  switch (phase) {
    case 'founding':
      return not('Starting', lease === null ? 'initializing' : 'leaseUnusable');
    case 'alone':
      return enabled ? not('Need Secondary VM', lastLoss ?? 'initializing') : not('Disabled', 'userAction');
    case 'cloning':
      return not('Starting', 'initializing');
    case 'catchingUp':
    case 'arming':
      return not('Starting', lease === null ? 'initializing' : 'leaseUnusable');
    case 'protected':
    case 'handingOver':
      if (rearming) return not('Starting', 'leaseUnusable');
      return suspect ? not('Starting', 'stall') : PROTECTED;
    case 'claiming':
      return not('Need Secondary VM', lastLoss ?? 'lostConnection');
  }
}

/** What people are told about a backup. Its primary knows better while it lives. */
export function backupProtection(phase: BackupPhase, lastLoss: LossReason | null): Protection {
  switch (phase) {
    case 'joining':
    case 'loading':
    case 'following':
      return not('Starting', 'initializing');
    case 'armed':
      return PROTECTED;
    case 'claiming':
    case 'goingLive':
      return not('Need Secondary VM', lastLoss ?? 'lostConnection');
  }
}

function not(
  state: Extract<Protection, { word: 'Not Protected' }>['state'],
  reason: Extract<Protection, { word: 'Not Protected' }>['reason'],
): Protection {
  return { word: 'Not Protected', state, reason };
}
