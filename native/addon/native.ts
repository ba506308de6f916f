// SPDX-License-Identifier: Apache-2.0
import { createRequire } from 'node:module';
import { AddonError } from './errors.js';

/** Handles are opaque: only the functions below can do something with them. */
declare const handleKind: unique symbol;
export interface RingHandle {
  readonly [handleKind]: 'ring';
}
export interface WatchHandle {
  readonly [handleKind]: 'watch';
}
export interface TapHandle {
  readonly [handleKind]: 'tap';
}

/**
 * Everything the native side exports; nothing else declares any of it. Arguments are final and positional:
 * callers have checked types and bounds. Positions are LSNs as numbers, fds are plain descriptors. A native
 * failure is an Error with `code` (an errno name with `operation` beside it, or a code of AddonErrorCode).
 */
export interface Native {
  ringCreate(
    path: string,
    bytes: number,
    start: number,
    beatTimeoutMs: number,
    quiesceMsMax: number,
  ): RingHandle;
  ringOpen(path: string, readOnly: boolean): RingHandle;
  /** Detaches `data` (when it was ever made), then unmaps. */
  ringClose(ring: RingHandle, data: ArrayBuffer | null): void;
  /** The ring twice, back to back, without a copy. */
  ringData(ring: RingHandle): ArrayBuffer;
  ringBytes(ring: RingHandle): number;
  ringProduced(ring: RingHandle): number;
  ringNetLogged(ring: RingHandle): number;
  ringConsumed(ring: RingHandle): number;
  ringState(ring: RingHandle): number;
  ringFieldNames(): string[];
  /** Writes the fields' values in the order of ringFieldNames. */
  ringRead(ring: RingHandle, out: BigUint64Array): void;
  ringTexts(ring: RingHandle): [qemuVersion: string, errorText: string, errorName: string];
  ringRoom(ring: RingHandle): number;
  /** The new `produced`, -1 when there is no room for all of it, -2 when the sidecar may not produce. */
  ringAppend(ring: RingHandle, bytes: Uint8Array): number;
  ringBegin(ring: RingHandle, lsn: number): boolean;
  ringReclaim(ring: RingHandle, lsn: number): boolean;
  ringSetRetain(ring: RingHandle, value: number): void;
  ringSetPromote(ring: RingHandle, value: number): void;
  ringSetKill(ring: RingHandle, value: number): void;
  ringSetPace(ring: RingHandle, permille: number): void;
  ringBeat(ring: RingHandle): void;

  watchStart(ring: RingHandle, minIntervalUs: number, onChange: () => void): WatchHandle;
  watchStop(watch: WatchHandle): void;

  tapOpen(name: string, mtuOrZero: number): TapHandle;
  tapAdopt(fd: number): TapHandle;
  tapName(tap: TapHandle): string;
  tapStart(
    tap: TapHandle,
    onBatch: (bytes: Buffer, lengths: Uint32Array, errno: string | null) => void,
  ): void;
  tapPause(tap: TapHandle): void;
  tapResume(tap: TapHandle): void;
  tapWrite(tap: TapHandle, frame: Uint8Array): boolean;
  tapClose(tap: TapHandle): void;

  socketPair(): [number, number];
  sendFds(socketFd: number, fds: Int32Array, data: Uint8Array): number;
  recvFds(socketFd: number, bytesMax: number, timeoutMs: number): Promise<{ fds: number[]; data: Buffer }>;
  listenUnix(path: string, backlog: number): number;
  acceptUnix(listenerFd: number, timeoutMs: number): Promise<number>;
  shutdownSocket(socketFd: number): void;
  peerPid(socketFd: number): number;
  unsentBytes(socketFd: number): number;

  imageLock(fd: number): void;
  imageBytes(fd: number): number;
  /** -1: nowhere. */
  imageNextData(fd: number, from: number): number;
  imagePunch(fd: number, offset: number, length: number): Promise<void>;

  /** The kernel's feature bits. */
  probeUserfaultfd(): bigint;
  probeTun(): void;

  logKindNames(): (string | null)[];
  logErrorName(code: number): string;
  logVersionKnown(version: number): boolean;
  logConstants(): {
    readonly eventBytesMax: number;
    readonly headerBytes: number;
    readonly controlBytes: number;
    readonly ringBytesMin: number;
    readonly ringBytesMax: number;
  };
  logEventLength(log: Uint8Array, offset: number): number;
  /** Fills (kind, length, instructions) for each event; returns the number of events. */
  logScan(log: Uint8Array, offset: number, out: Uint32Array): number;
  logFields(log: Uint8Array, offset: number): (string | bigint | Buffer)[] | null;
}

function load(): Native {
  try {
    return createRequire(import.meta.url)('./lockstep.node') as Native;
  } catch (error) {
    throw new AddonError(
      'ADDON_MISSING',
      `the native add-on cannot be loaded: build it with 'make -s -C native' (needs make, gcc and g++). ${String(error)}`,
    );
  }
}

export const native: Native = load();
