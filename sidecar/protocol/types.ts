// SPDX-License-Identifier: Apache-2.0
/** The nouns of the protocol. All are plain values, so that frames and events can be compared and printed. */

/** A position in the engine's log. Only order and equality matter here: what it counts is the engine's business. */
export type Lsn = number;

/** Term of ownership. Grows by arm and refound only; each epoch has at most one winner. */
export type Epoch = number;

/** 128-bit identity of one engine incarnation, 32 lower-case hex digits. Never reused. */
export type Nonce = string;

/** Identity of one life of the lease store, 32 lower-case hex digits. */
export type StoreId = string;

/** Digest of one output, 32 lower-case hex digits (128 bits). */
export type Hash = string;

/** Local monotonic time in milliseconds; fractions allowed. Two sides' values are never compared. */
export type Millis = number;

/** Number the I/O side gives to each connection it makes or accepts; grows, never reused in one sidecar. */
export type LinkId = number;

/** What must be equal on both sides for one engine to be able to follow the other. */
export interface EngineIdentity {
  /** Kind of engine, for instance `record-replay`. */
  readonly engine: string;
  /** Version word of the engine's log. */
  readonly logVersion: number;
  /** QEMU's version and build, as the engine reports it. */
  readonly qemuVersion: string;
  /** Hash over machine type, devices, addresses, firmware and memory size; hex. */
  readonly deviceHash: string;
}
