// SPDX-License-Identifier: Apache-2.0
/**
 * What the I/O side tells the core: `effects = sidecar.handle(event, now)`, then carry out the effects in
 * their order, before the next event is handed in.
 *
 * Guide for the I/O side
 * - `now` is monotonic, in ms, and never goes back. Read it when the event is handed in, not when its cause
 *   happened: the core sees a stall of its own process by the gap between two calls.
 * - `tick` every `limits.tickMs`. All timers of the protocol run on ticks; there is no other.
 * - Callbacks enqueue; one loop hands in. Calls must not nest.
 * - Links: give each connection (dialled or accepted, purpose `log`) a new number. After `linkDown`, or after
 *   a `closeLink` effect, say nothing more about that link (the core ignores it if you do). The side started
 *   with `replay` dials on `dial` effects; every side listens, always.
 * - Frames: hand over all but `log`. A `log` frame's bytes go to the ring; `received` follows after the bytes
 *   can be read by the engine. There is always room: the primary ships no more than `ringBytes` beyond what it
 *   knows to be consumed. All that was written is told by `received` before `linkDown`. Log of a link that is not the newest, or after `closeLink`, must not reach the ring. A frame that cannot be decoded: close the connection, `linkDown`.
 * - Outputs: every frame that the engine sends on the NIC gets an index, 1 for the first of this QEMU process
 *   (compare `net_frames`), and is kept in one queue by you until a `release` or `drop` effect covers it.
 *   `head` is the log position read after the frame was read. Hand them in in order, each before any
 *   later `produced` that you have read.
 * - Positions handed in (`produced`, `head`, clone point) are ends of whole events.
 * - Lease: exactly one `leaseAnswer` for each `lease` effect, at the latest after `limits.leaseTimeoutMs`
 *   (then `unknown`/`timeout`). Never resend a request yourself.
 */
import type { Hash, LinkId, Lsn } from './types.js';
import type { Frame } from './frames.js';
import type { LeaseAnswer } from './lease/messages.js';

export type ProtocolEvent =
  | { readonly type: 'tick' }
  // -- links --
  /** A dialled connection stands, TLS included. */
  | { readonly type: 'dialled'; readonly link: LinkId }
  /** A dial came to nothing: refused, timed out, or TLS failed. */
  | { readonly type: 'dialFailed'; readonly detail: string }
  /** A peer has connected, TLS included. */
  | { readonly type: 'accepted'; readonly link: LinkId }
  | { readonly type: 'linkDown'; readonly link: LinkId; readonly detail: string }
  | { readonly type: 'frame'; readonly link: LinkId; readonly frame: Frame }
  // -- lease --
  | { readonly type: 'leaseAnswer'; readonly id: number; readonly answer: LeaseAnswer }
  // -- engine that records --
  /** The log's head has moved. */
  | { readonly type: 'produced'; readonly lsn: Lsn }
  /** The engine sent a frame on the NIC (also while it replays). */
  | {
      readonly type: 'output';
      readonly index: number;
      readonly bytes: number;
      readonly hash: Hash;
      /** Log head (recording) or position replayed so far (replaying; not used). */
      readonly head: Lsn;
    }
  /** The guest came to rest; the log is retained from `lsn`; `frames` outputs were made before. */
  | {
      readonly type: 'clonePoint';
      readonly attempt: number;
      readonly lsn: Lsn;
      readonly frames: number;
    }
  /** Bytes of the migration stream that the connection to the backup has taken so far. About once a second will do. */
  | { readonly type: 'cloneProgress'; readonly attempt: number; readonly bytes: number }
  /** The migration stream has been sent to its end. */
  | { readonly type: 'cloneSent'; readonly attempt: number }
  | { readonly type: 'cloneFailed'; readonly attempt: number; readonly detail: string }
  // -- engine that replays --
  /** The clone is loaded and replay has begun. */
  | { readonly type: 'loaded' }
  | { readonly type: 'loadFailed'; readonly detail: string }
  /** All log below `lsn` has come by `link` and can be read by the engine. `end` as in the log frame. */
  | { readonly type: 'received'; readonly link: LinkId; readonly lsn: Lsn; readonly end: boolean }
  | { readonly type: 'consumed'; readonly lsn: Lsn }
  /** The log on `link` is not what the engine can read. */
  | { readonly type: 'logCorrupt'; readonly link: LinkId; readonly detail: string }
  /** The engine went live at `lsn` after `promote`. */
  | { readonly type: 'live'; readonly lsn: Lsn }
  // -- disks --
  /**
   * A request to a disk was carried out; it is answered when the core says so. `k` counts the disk's requests since the
   * clone point (0: there is none), `head` is the log's head, read now.
   */
  | {
      readonly type: 'diskDone';
      readonly disk: number;
      readonly id: number;
      readonly k: number;
      readonly error: number;
      readonly written: number;
      readonly head: Lsn;
    }
  /** Primary: so many bytes of the disks' images are at the backup. About once a second will do. */
  | { readonly type: 'copyProgress'; readonly attempt: number; readonly bytes: number }
  /** The backup has the disks' images whole, on its medium. Told on both sides; `attempt` is the primary's. */
  | { readonly type: 'copied'; readonly attempt: number }
  | { readonly type: 'copyFailed'; readonly attempt: number; readonly detail: string }
  /** Backup: its own image could not do what the primary's has done. */
  | { readonly type: 'diskFailed'; readonly detail: string }
  // -- any engine --
  /** How often the engine has shown a sign of life; told with each tick in which it has moved. */
  | { readonly type: 'engineBeat'; readonly beat: number }
  /** The shim reports FAILED, or the engine process died. */
  | { readonly type: 'engineFailed'; readonly detail: string }
  /** The guest switched itself off and QEMU ended. */
  | { readonly type: 'engineExited' }
  // -- people --
  /** Planned failover. */
  | { readonly type: 'commandFailover' }
  /** Switch protection on or off; off dismisses the backup. */
  | { readonly type: 'commandProtection'; readonly enabled: boolean }
  /** End this side in order; a primary claims first if its backup may win, so that the VM stays off. */
  | { readonly type: 'commandStop' };
