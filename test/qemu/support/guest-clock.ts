// SPDX-License-Identifier: Apache-2.0
// The guest's clock beside real time, read over the network (guestd's note).
import { z } from 'zod';
import { inNetns } from '../../../cli/local/network.js';
import { commandPort, type ReachedGuest } from './guest.js';

/** One reading. The guest's was made somewhere between the two of real time. */
export interface Reading {
  readonly guestS: number;
  readonly realFromS: number;
  readonly realToS: number;
}

const US_PER_S = 1e6;
const readingSchema = z
  .string()
  .regex(/^[\d.]+ ok \d+ [0-9a-f]{16} [0-9a-f]{16} \d+ [\d.]+$/)
  .transform((line): Reading => {
    const words = line.split(' ');
    return {
      guestS: Number(words[5]) / US_PER_S,
      realFromS: Number(words[0]),
      realToS: Number(words[6]),
    };
  });

/** @throws Error when the guest does not answer */
export async function readGuestClock(reached: ReachedGuest): Promise<Reading> {
  const talk = `exec 3<>${commandPort(reached)}; a=$EPOCHREALTIME; echo note >&3; read -r -t 30 -u 3 line; echo "$a $line $EPOCHREALTIME"`;
  return readingSchema.parse((await inNetns(reached.client.netns, 'bash', ['-c', talk])).trim());
}

/** How much less time has passed for the guest than really, since `from`: at least and at most, s. */
export function behind(from: Reading, now: Reading): { readonly least: number; readonly most: number } {
  const guestS = now.guestS - from.guestS;
  return {
    least: now.realFromS - from.realToS - guestS,
    most: now.realToS - from.realFromS - guestS,
  };
}

const WORK_MIB = 24;
const WORK_MS_MAX = 120_000;
/** One begins while the other is told. */
const WORKERS = 2;

/** Keeps the guest busy with md5 until `isOver`. */
export async function keepBusy(reached: ReachedGuest, isOver: () => boolean): Promise<void> {
  const talk = `exec 3<>${commandPort(reached)}; echo md5 ${WORK_MIB} >&3; read -r -u 3 line`;
  const work = async (): Promise<void> => {
    while (!isOver()) await inNetns(reached.client.netns, 'bash', ['-c', talk], { timeoutMs: WORK_MS_MAX });
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
}
