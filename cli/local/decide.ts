// SPDX-License-Identifier: Apache-2.0
// What the pair's controller does, as two tables: one about the VM's protection, one about each host. Pure.
// Each input meets exactly one row; the test walks them all.
import type { HostKind } from './observe.js';

/** Who runs the VM. */
export type Lead = 'none' | 'alone' | 'pairing' | 'guarded' | 'two';

export interface ProtectionInput {
  readonly lead: Lead;
  readonly wanted: boolean;
  /** Some host is about to be something: starting, deciding, a backup, or ordered to become one. */
  readonly pending: boolean;
  /** Some host does not say what it is. */
  readonly mute: boolean;
  /** Some host is free. */
  readonly spare: boolean;
  /** The last attempt failed a moment ago. */
  readonly backingOff: boolean;
}

export interface Row<Input, Action> {
  readonly reason: string;
  readonly words: string;
  readonly action: Action;
  readonly when: (input: Input) => boolean;
}

export type ProtectionAction = 'none' | 'startBackup';

const canProtect = (i: ProtectionInput): boolean => i.lead === 'alone' && i.wanted && !i.pending;

/** The VM is never started here: after the loss of both sides that is for a person to say. */
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
    reason: 'VmDown',
    words: 'the VM runs nowhere; a person must start it again',
    action: 'none',
    when: (i) => i.lead === 'none' && !i.pending && !i.mute,
  },
];

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

/** The row that an input meets. */
export function decide<Input, Action>(
  table: readonly Row<Input, Action>[],
  input: Input,
): Row<Input, Action> {
  const row = table.find((one) => one.when(input));
  if (row === undefined) throw new Error(`no row for ${JSON.stringify(input)}`);
  return row;
}

const OWNERS: ReadonlySet<HostKind> = new Set(['alone', 'pairing', 'guarded']);
const PENDING: ReadonlySet<HostKind> = new Set(['starting', 'deciding', 'backup']);
const MUTE: ReadonlySet<HostKind> = new Set(['deaf', 'silent']);

export function leadOf(kinds: readonly HostKind[]): Lead {
  const owners = kinds.filter((kind) => OWNERS.has(kind));
  const [owner] = owners;
  if (owners.length > 1) return 'two';
  return owner === 'alone' || owner === 'pairing' || owner === 'guarded' ? owner : 'none';
}

/** What a host is being made to do just now. */
export type HostOrder = 'none' | 'backup' | 'other';

export interface ProtectionFacts {
  readonly hosts: readonly { readonly kind: HostKind; readonly order: HostOrder }[];
  readonly wanted: boolean;
  readonly backingOff: boolean;
}

export function protectionInput({ hosts, wanted, backingOff }: ProtectionFacts): ProtectionInput {
  return {
    lead: leadOf(hosts.map((host) => host.kind)),
    wanted,
    backingOff,
    pending: hosts.some((host) => host.order === 'backup' || PENDING.has(host.kind)),
    mute: hosts.some((host) => MUTE.has(host.kind)),
    spare: hosts.some((host) => host.kind === 'idle' && host.order === 'none'),
  };
}
