// SPDX-License-Identifier: Apache-2.0
/** What one side of a VM is, in one word, and who of several runs the VM. The same on one machine and in a cluster. */
import type { SidecarStatus } from '../../sidecar/observe/status-schema.js';

/** Something that can be a side is in exactly one of these, once an incarnation of the VM was put there. */
export const SIDE_KINDS = [
  'starting', // it is coming up
  'silent', // its sidecar does not answer
  'ended', // it has ended, and has not been cleaned away yet
  'alone', // a primary that runs the VM without protection
  'pairing', // a primary that is getting a backup
  'guarded', // a primary that is protected
  'deciding', // between two roles: founding, claiming, going live
  'backup', // a backup, at whatever stage
] as const;
export type SideKind = (typeof SIDE_KINDS)[number];

export const PHASE_KINDS: Record<SidecarStatus['phase'], SideKind> = {
  founding: 'deciding',
  alone: 'alone',
  cloning: 'pairing',
  catchingUp: 'pairing',
  arming: 'pairing',
  protected: 'guarded',
  handingOver: 'deciding',
  claiming: 'deciding',
  joining: 'backup',
  loading: 'backup',
  following: 'backup',
  armed: 'backup',
  goingLive: 'deciding',
  ended: 'deciding',
};

/** Who runs the VM. */
export type Lead = 'none' | 'alone' | 'pairing' | 'guarded' | 'two';

/** Takes the kinds of more than sides as well: what is no side runs nothing. */
export function leadOf(kinds: readonly string[]): Lead {
  const owners = kinds.filter((kind) => kind === 'alone' || kind === 'pairing' || kind === 'guarded');
  const [owner] = owners;
  if (owners.length > 1) return 'two';
  return owner ?? 'none';
}

/** As much of a side as tells who was superseded by whom. */
export interface Claimant {
  readonly kind: string;
  readonly nonce: string | null;
  readonly peer: string | null;
}

/**
 * A protected primary whose backup has won the lease in the meantime: it lets nothing out any more, and is about to
 * find out. Not an owner.
 */
export const isSuperseded = (side: Claimant, sides: readonly Claimant[]): boolean =>
  side.kind === 'guarded' &&
  side.peer !== null &&
  sides.some(({ kind, nonce }) => (kind === 'alone' || kind === 'pairing') && nonce === side.peer);
