// SPDX-License-Identifier: Apache-2.0
/** The machine that runs here, as a backup must build it: GET /machine. */
import { z } from 'zod';

const ARGUMENTS_MAX = 4096;
const ARGUMENT_CHARACTERS_MAX = 64 * 1024;

export const machineSchema = z.strictObject({
  /** libvirt's command line of the side that started the machine first: its devices are handed on from side to side. */
  argv: z.array(z.string().max(ARGUMENT_CHARACTERS_MAX)).min(1).max(ARGUMENTS_MAX),
  cpuModel: z.string().min(1),
  /** Address of the guest's NIC, where it is not the one in `argv`. */
  mac: z.string().nullable(),
});
export type Machine = z.infer<typeof machineSchema>;
