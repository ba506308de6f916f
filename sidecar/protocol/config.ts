// SPDX-License-Identifier: Apache-2.0
import type { EngineIdentity, Epoch, Nonce } from './types.js';
import type { Limits } from './limits.js';

/** By what right a recorder starts: a deliberate act of `up`, an operator, or a person. */
export type ColdStart =
  /** The VM's first life: there must be no lease yet. */
  | { readonly kind: 'found' }
  /** Both sides of `expectEpoch` are known to be dead. */
  | { readonly kind: 'refound'; readonly expectEpoch: Epoch };

/** All that a sidecar knows when it starts. */
export interface SidecarConfig {
  readonly vm: string;
  /** 128-bit random identity of this engine incarnation. Made by the caller: the core has no randomness. */
  readonly nonce: Nonce;
  readonly identity: EngineIdentity;
  /** Not null: starts as recorder (primary). Null: starts as backup and dials. */
  readonly coldStart: ColdStart | null;
  /** Size of this side's ring, bytes. */
  readonly ringBytes: number;
  /** How many disks the VM has. Each side has images of its own, which a new backup's are copied from. */
  readonly disks: number;
  readonly limits: Limits;
}
