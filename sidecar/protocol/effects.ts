// SPDX-License-Identifier: Apache-2.0
/**
 * What the core wants done. Carry the effects out in their order.
 *
 * Guide for the I/O side
 * - `send`, `ship`, `closeLink` on a link that is gone do nothing. What is sent before `closeLink` still goes
 *   out if it can.
 * - `ship` reads the ring `[from, to)`, at most `limits.shipChunkBytes`, and sends it as log frames, in order
 *   with `send`. Ring bytes stay valid until a `reclaim` effect or `retain` off.
 * - `release` writes all queued outputs with index <= `through` to the tap, in order. Check again there, and
 *   abort the process if it fails: each one's `head` is <= `limit.acked`, or `limit` is `owner`. `drop` throws
 *   queued outputs away. The queue of a side that goes live is released by the same effect.
 * - `ingress`: from now on packets from the tap go to the guest. A recorder takes them from its start; a backup's
 *   guest gets them from the log; those that its primary forwarded and has not logged, and the newest of its own tap, are
 *   kept: with them a side that goes live begins.
 * - `pace` is the control word's permille; `promote` its flag; `kill` in `end` its flag plus SIGKILL.
 * - One clone at a time: if an aborted one is not over yet, answer `startClone` with `cloneFailed`.
 * - `end` is the last effect ever: let frames sent before it go out (50 ms at most), close all, end the engine without flushing anything, exit the process. Call
 *   `handle` no more.
 * - `report` is the one source of log lines, events and metric labels; `status` follows each change.
 */
import type { LinkId, Lsn } from './types.js';
import type { NumberedOutcome } from './disk/outcomes.js';
import type { Frame } from './frames.js';
import type { LeaseRequest } from './lease/messages.js';
import type { EndReason } from './reasons.js';
import type { Status } from './status.js';

/** By what right outputs leave. */
export type ReleaseLimit = { readonly by: 'owner' } | { readonly by: 'ack'; readonly acked: Lsn };

export type Effect =
  // -- links --
  | { readonly type: 'dial' }
  | { readonly type: 'send'; readonly link: LinkId; readonly frame: Frame }
  /** `end`: an event of the log ends at `to`. */
  | {
      readonly type: 'ship';
      readonly link: LinkId;
      readonly from: Lsn;
      readonly to: Lsn;
      readonly end: boolean;
    }
  | { readonly type: 'closeLink'; readonly link: LinkId; readonly reason: string }
  // -- lease --
  | { readonly type: 'lease'; readonly id: number; readonly request: LeaseRequest }
  // -- clone --
  /** Recorder: quiesce, then send the machine's state by the clone connection that the peer of `link` opens. */
  | { readonly type: 'startClone'; readonly attempt: number; readonly link: LinkId }
  | { readonly type: 'abortClone'; readonly attempt: number }
  /** Backup: open a new clone connection to the peer of `link` and load. What still comes on an older one is thrown away. */
  | { readonly type: 'receiveClone'; readonly link: LinkId }
  /** Backup: log will come from here on. */
  | { readonly type: 'logFrom'; readonly lsn: Lsn }
  // -- engine --
  /** Recorder: `on` = the ring keeps log until reclaimed (the shim switches it on at a clone point). */
  | { readonly type: 'retain'; readonly on: boolean }
  | { readonly type: 'reclaim'; readonly below: Lsn }
  | { readonly type: 'pace'; readonly permille: number }
  | { readonly type: 'promote' }
  // -- disks --
  /** The guest's request was carried out, and may be told so. */
  | { readonly type: 'diskAnswer'; readonly disk: number; readonly id: number }
  /** Primary, at the clone point: count requests from 1, and send the images as they are now by the peer's connection. */
  | { readonly type: 'copyDisks'; readonly attempt: number; readonly link: LinkId }
  /** Primary: there is no backup any more. */
  | { readonly type: 'endCopy' }
  /** Backup: how the primary's request came out. Its own is carried out, and answered, alike. */
  | ({ readonly type: 'diskOutcome' } & NumberedOutcome)
  // -- outputs and inputs --
  | { readonly type: 'release'; readonly through: number; readonly limit: ReleaseLimit }
  | { readonly type: 'drop'; readonly through: number }
  | { readonly type: 'ingress' }
  /** Tell the network where the VM's addresses are now (gratuitous ARP). */
  | { readonly type: 'announce' }
  // -- people --
  | {
      readonly type: 'report';
      readonly level: 'info' | 'warn' | 'error';
      /** A word from reasons.ts or the name of a phase: metric label and event reason. */
      readonly reason: string;
      readonly message: string;
    }
  | { readonly type: 'status'; readonly status: Status }
  | { readonly type: 'end'; readonly reason: EndReason; readonly detail: string };
