// SPDX-License-Identifier: Apache-2.0
/** All that the operator does to the world for one VM. Each may be done again at any time: nothing is done twice by it. */
import type { Command } from '../sidecar/kubevirt/client.js';
import type { Side } from './api/ftvm.js';
import type { PeerAddress } from './logging-network.js';

export type Role = 'primary' | 'backup';

export type Effect =
  | { readonly type: 'addFinalizer' }
  | { readonly type: 'removeFinalizer' }
  /** A person's consent to a start anew was used. */
  | { readonly type: 'removeConsent' }
  /** The identity and the settings of a side's sidecar; before its VMI. */
  | { readonly type: 'makeSecret'; readonly side: Side; readonly peer: PeerAddress | null }
  | { readonly type: 'makeVmi'; readonly side: Side }
  | { readonly type: 'makeService' }
  | { readonly type: 'deleteVmi'; readonly vmi: string; readonly uid: string }
  /** Without waiting for its node's kubelet. */
  | { readonly type: 'removePod'; readonly pod: string; readonly uid: string }
  | { readonly type: 'removeSecret'; readonly vmi: string }
  /** Of a side that nobody knows any more: looked at once more, live, before it goes. */
  | { readonly type: 'sweepSecret'; readonly vmi: string; readonly uid: string }
  | { readonly type: 'setRole'; readonly pod: string; readonly uid: string; readonly role: Role }
  | { readonly type: 'setLive'; readonly pod: string; readonly uid: string; readonly live: boolean }
  | { readonly type: 'order'; readonly vmi: string; readonly command: Command }
  | { readonly type: 'removeLease' };
