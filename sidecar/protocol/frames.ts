// SPDX-License-Identifier: Apache-2.0
/**
 * What travels on the logging channel. The binary form is the codec's; log bytes travel beside these
 * (see LogFrame, PacketsFrame) and never pass through the protocol code.
 *
 *   backup → primary   hello loaded ack beat prepared barred goodbye
 *   primary → backup   welcome refuse clonePoint (log, packets) digest released diskOutcome beat prepare armed handover goodbye
 *
 * Frames of one connection arrive in order, whole or not at all. Everything a frame says stays true when
 * the connection breaks; what must be known again is repeated after a resumed hello.
 */
import type { NumberedOutcome } from './disk/outcomes.js';
import type { EngineIdentity, Epoch, Hash, Lsn, Nonce, StoreId } from './types.js';
import type { BarReason, OnPurposeReason, HandoverReason, RefuseReason } from './reasons.js';

/** Version of the frames and of the rules around them. Both sides must have the same. */
export const PROTOCOL_VERSION = 3;

/** First frame of each connection, from the side that dials. */
export interface HelloFrame {
  readonly type: 'hello';
  readonly protocol: number;
  readonly vm: string;
  readonly nonce: Nonce;
  readonly identity: EngineIdentity;
  /** Log bytes the backup's ring can hold: the primary never has more than this unconsumed at the backup. */
  readonly ringBytes: number;
  /** Not null: this backup was loaded by this primary before and only lost its connection. */
  readonly resume: ResumePoint | null;
}

export interface ResumePoint {
  /** The primary that loaded this backup. */
  readonly primary: Nonce;
  /** All log below is in the backup's memory. */
  readonly received: Lsn;
  /** All log below was replayed. */
  readonly consumed: Lsn;
  /** Outputs whose digests were compared. */
  readonly compared: number;
}

/** The hello is accepted. A backup that did not ask to resume now opens the clone connection. */
export interface WelcomeFrame {
  readonly type: 'welcome';
  readonly nonce: Nonce;
  /** Log is shipped from here on again; null: a clone follows. */
  readonly resumeFrom: Lsn | null;
}

/** The hello is not accepted; the connection is closed after it. */
export interface RefuseFrame {
  readonly type: 'refuse';
  readonly reason: RefuseReason;
  /** A sentence for people. */
  readonly detail: string;
}

/** The clone's state is that of this position; log frames start here, and the next output has number 1. */
export interface ClonePointFrame {
  readonly type: 'clonePoint';
  readonly lsn: Lsn;
}

/** The backup's engine has loaded the clone and replays. */
export interface LoadedFrame {
  readonly type: 'loaded';
}

/**
 * A piece of log. Made by the I/O side from a `ship` effect, consumed by the I/O side of the backup, which
 * checks that `lsn` is where the last piece ended, writes the bytes into the ring and then tells the core
 * `received`, with `end` as it was. One shipped range may be split into several frames: the last one carries
 * the effect's `end`, the others have it false.
 */
export interface LogFrame {
  readonly type: 'log';
  readonly lsn: Lsn;
  /** The last byte of this piece is the last of an event. */
  readonly end: boolean;
  /**
   * Packets for the guest that the log up to the end of this piece holds, counted since the primary began to record.
   * It may be too low (0 in a piece without `end`), never too high.
   */
  readonly packets: number;
  readonly bytes: Uint8Array;
}

/**
 * Packets that the primary's host has received, right after the primary's engine was given them, numbered from `first`
 * (1 is the first since it began to record). Sent where log is shipped, or not at all: the I/O side of the backup keeps
 * those that are not in the log yet, for the guest that goes live. Nothing depends on them.
 */
export interface PacketsFrame {
  readonly type: 'packets';
  readonly first: number;
  readonly packets: readonly Uint8Array[];
}

/** The primary's output number `n` (1 is the first after the clone point). */
export interface DigestFrame {
  readonly type: 'digest';
  readonly n: number;
  /** Head of the primary's log when the output was made. */
  readonly lsn: Lsn;
  readonly hash: Hash;
}

/** All outputs up to and including number `n` have left the primary. */
export interface ReleasedFrame {
  readonly type: 'released';
  readonly n: number;
}

/** How a request of the guest to a disk came out. Sent before the primary's QEMU hears of it. */
export interface DiskOutcomeFrame extends NumberedOutcome {
  readonly type: 'diskOutcome';
}

/** How far the backup is. `received` is the promise of the output rule. Never sent after a claim has begun. */
export interface AckFrame {
  readonly type: 'ack';
  readonly received: Lsn;
  readonly consumed: Lsn;
  /** Outputs whose digests were compared and found equal. */
  readonly compared: number;
}

/** Sent each `beatMs` by both sides. `echo` is the highest `seq` heard from the other side, 0: none yet. */
export interface BeatFrame {
  readonly type: 'beat';
  readonly seq: number;
  readonly echo: number;
}

/** The primary is about to arm this epoch in this store: promise to claim for nothing else. */
export interface PrepareFrame {
  readonly type: 'prepare';
  readonly epoch: Epoch;
  readonly store: StoreId;
}

/** The promise: the backup has not begun to claim, and will claim for this epoch only. */
export interface PreparedFrame {
  readonly type: 'prepared';
  readonly epoch: Epoch;
  readonly store: StoreId;
}

/** The epoch is armed: the pair is protected. Information only; what counts is what the store says. */
export interface ArmedFrame {
  readonly type: 'armed';
  readonly epoch: Epoch;
}

/** Please take over now. A hint: the lease decides. */
export interface HandoverFrame {
  readonly type: 'handover';
  readonly reason: HandoverReason;
}

/** This backup can never take over; it will not claim, and ends. */
export interface BarredFrame {
  readonly type: 'barred';
  readonly reason: BarReason;
  readonly detail: string;
}

/** The sender leaves for good and nobody has to take over. */
export interface GoodbyeFrame {
  readonly type: 'goodbye';
  readonly reason: OnPurposeReason;
}

/** Frames that the core sends and receives. */
export type Frame =
  | HelloFrame
  | WelcomeFrame
  | RefuseFrame
  | ClonePointFrame
  | LoadedFrame
  | DigestFrame
  | ReleasedFrame
  | DiskOutcomeFrame
  | AckFrame
  | BeatFrame
  | PrepareFrame
  | PreparedFrame
  | ArmedFrame
  | HandoverFrame
  | BarredFrame
  | GoodbyeFrame;

/** All that the codec must know. */
export type WireFrame = Frame | LogFrame | PacketsFrame;
