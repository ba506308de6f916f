// SPDX-License-Identifier: Apache-2.0
/** What every QEMU that records or replays is started with, wherever it runs. Pure. */

/** `record`: produces the log from the start. `replay`: waits for a clone, then follows the log. */
export type Mode = 'record' | 'replay';

/** The log's name; the shim takes every open of it for itself, no such file is made. */
const LOG_FILE_NAME = 'lockstep.ftlog';

/** shift=1: two virtual nanoseconds an instruction, whatever the host's speed. */
const INSTRUCTION_CLOCK_SHIFT = 1;

/** The log, our own monitor, and a backup's wait for its clone. */
export const engineArguments = (mode: Mode, qmpSocket: string): string[] => [
  '-icount',
  `shift=${INSTRUCTION_CLOCK_SHIFT},rr=${mode},rrfile=${LOG_FILE_NAME}`,
  '-qmp',
  `unix:${qmpSocket},server=on,wait=off`,
  ...(mode === 'replay' ? ['-incoming', 'defer'] : []),
];

/**
 * The NIC's other end: the sidecar. The filter takes only what the guest sends: with both directions a replaying side
 * would drop it.
 */
export const networkArguments = (netdev: string, netSocket: string): string[] => [
  '-netdev',
  `stream,id=${netdev},server=off,addr.type=unix,addr.path=${netSocket}`,
  '-object',
  `filter-replay,id=lockstep-replay,netdev=${netdev},queue=tx`,
];

/**
 * A disk's other end: the sidecar, by NBD. What is above it makes each request's completion an event of the log. The
 * disk's node is named `id`, and so is the export.
 */
export const diskArguments = (id: string, socket: string): string[] => [
  '-blockdev',
  JSON.stringify({
    driver: 'nbd',
    'node-name': `${id}-nbd`,
    server: { type: 'unix', path: socket },
    export: id,
    discard: 'unmap',
  }),
  '-blockdev',
  JSON.stringify({ driver: 'blkreplay', 'node-name': id, image: `${id}-nbd`, discard: 'unmap' }),
];

export interface ShimFiles {
  readonly ring: string;
  readonly netSocket: string;
  readonly cloneSocket: string;
  readonly diskSockets: readonly string[];
}

/** Switches the shim on, in this QEMU only. It has to be preloaded as well. */
export const shimEnvironment = (files: ShimFiles): Record<string, string> => ({
  LOCKSTEP_RING: files.ring,
  LOCKSTEP_NET: files.netSocket,
  LOCKSTEP_CLONE: files.cloneSocket,
  ...Object.fromEntries(files.diskSockets.map((socket, index) => [`LOCKSTEP_DISK${String(index)}`, socket])),
});
