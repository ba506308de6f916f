// SPDX-License-Identifier: Apache-2.0
// What the pair's controller does: about the VM's protection by the table that the operator has too
// (operator/mind), about each host by one of its own. Pure.
import { leadOf } from '../../operator/mind/sides.js';
import type { ProtectionInput } from '../../operator/mind/protection.js';
import type { Row } from '../../operator/mind/table.js';
import type { HostKind } from './observe.js';

export interface HostInput {
  readonly kind: HostKind;
  /** The host shall stay without power. */
  readonly poweredOff: boolean;
  /** It was found dead longer ago than a reboot takes. */
  readonly rebootDue: boolean;
  /** An order to it is under way. */
  readonly busy: boolean;
}

export type HostAction = 'none' | 'boot' | 'clean';

export const HOST_TABLE: readonly Row<HostInput, HostAction>[] = [
  { reason: 'Busy', words: 'an order to it is under way', action: 'none', when: (i) => i.busy },
  {
    reason: 'PoweredOff',
    words: 'it shall stay without power',
    action: 'none',
    when: (i) => !i.busy && i.kind === 'dead' && i.poweredOff,
  },
  {
    reason: 'Rebooting',
    words: 'it lost its power a moment ago',
    action: 'none',
    when: (i) => !i.busy && i.kind === 'dead' && !i.poweredOff && !i.rebootDue,
  },
  {
    reason: 'Boot',
    words: 'it has no power and shall have it',
    action: 'boot',
    when: (i) => !i.busy && i.kind === 'dead' && !i.poweredOff && i.rebootDue,
  },
  {
    reason: 'Clean',
    words: 'its incarnation has ended',
    action: 'clean',
    when: (i) => !i.busy && i.kind === 'ended',
  },
  {
    reason: 'Fine',
    words: 'nothing to do',
    action: 'none',
    when: (i) => !i.busy && i.kind !== 'dead' && i.kind !== 'ended',
  },
];

const PENDING: ReadonlySet<HostKind> = new Set(['starting', 'deciding', 'backup']);
const MUTE: ReadonlySet<HostKind> = new Set(['deaf', 'silent']);

/** What a host is being made to do just now. */
export type HostOrder = 'none' | 'backup' | 'other';

export interface ProtectionFacts {
  readonly hosts: readonly { readonly kind: HostKind; readonly order: HostOrder }[];
  readonly wanted: boolean;
  readonly backingOff: boolean;
}

/** The first start is for `up` and a start anew for `cold-start`: the controller of a local pair never starts the VM. */
export function protectionInput({ hosts, wanted, backingOff }: ProtectionFacts): ProtectionInput {
  return {
    lead: leadOf(hosts.map((host) => host.kind)),
    wanted,
    backingOff,
    pending: hosts.some((host) => host.order === 'backup' || PENDING.has(host.kind)),
    mute: hosts.some((host) => MUTE.has(host.kind)),
    spare: hosts.some((host) => host.kind === 'idle' && host.order === 'none'),
    unborn: false,
    asked: false,
    storeAway: false,
  };
}
