// SPDX-License-Identifier: Apache-2.0
// What the test guest is told from outside (test/guest/guestd.c), and what its console says of its starts.
import { readFile } from 'node:fs/promises';
import { GUEST_PORTS } from '../../../cli/local/layout.js';
import { inNetns } from '../../../cli/local/network.js';
import type { Side } from './pair.js';

/** What the guest does to itself. It answers first. */
export type GuestOrder = 'poweroff' | 'reset' | 'panic';

/** Where a guest is, and from where it is reached: a pair's layout tells it. */
export interface ReachedGuest {
  readonly guest: { readonly ip: string };
  readonly client: { readonly netns: string };
}

/** Its command port, for a shell. */
export const commandPort = ({ guest }: ReachedGuest): string => `/dev/tcp/${guest.ip}/${GUEST_PORTS.command}`;

/** Says a line to the guest's command port. Returns the fields of its answer. @throws Error when it does not say `ok` */
export async function tellGuest(reached: ReachedGuest, line: string): Promise<string[]> {
  const talk = `exec 3<>${commandPort(reached)}; echo ${line} >&3; timeout 5 head -n 1 <&3`;
  const answer = await inNetns(reached.client.netns, 'bash', ['-c', talk]);
  const [word, ...fields] = answer.trim().split(' ');
  if (word !== 'ok') throw new Error(`the guest answered '${answer.trim()}' to ${line}`);
  return fields;
}

/** @throws Error when the guest does not say that it will */
export async function orderGuest(guest: ReachedGuest, order: GuestOrder): Promise<void> {
  await tellGuest(guest, order);
}

/** How often the guest has come up, as this side's console has it: of a backup, from its clone point on. */
export async function guestStarts(side: Pick<Side, 'serialFile'>): Promise<number> {
  return [...(await readFile(side.serialFile, 'latin1')).matchAll(/^READY/gm)].length;
}
