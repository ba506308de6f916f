// SPDX-License-Identifier: Apache-2.0
/**
 * What TypeScript needs of the operating system and of the contract with the shim, and Node does not offer.
 * TypeScript checks every argument and makes the sentences of errors; the native side (native.ts lists it) gets
 * final values.
 */
export { AddonError, type AddonErrorCode } from './errors.js';
export {
  Ring,
  RING_BYTES_MAX,
  RING_BYTES_MIN,
  type CloneState,
  type RingSettings,
  type RingSnapshot,
  type RingStart,
  type RingState,
  type WatchOptions,
} from './ring.js';
export { FRAME_BYTES_MAX, FRAME_BYTES_MIN, Tap, type TapListener } from './tap.js';
export {
  FDS_DATA_BYTES_MAX,
  FDS_MAX,
  FDS_TIMEOUT_MS_MAX,
  recvFds,
  acceptUnix,
  listenUnix,
  sendFds,
  shutdownSocket,
  socketPair,
  peerPid,
  unsentBytes,
} from './descriptors.js';
export { imageBytes, lockImage, nextData, punchHole } from './image.js';
export { probeTun, probeUserfaultfd, type Probe, type UserfaultfdProbe } from './probe.js';
export {
  CONTROL_BYTES,
  EVENT_BYTES_MAX,
  EVENT_NAMES,
  LOG_HEADER_BYTES,
  SCAN_WORDS,
  eventFields,
  eventLength,
  ftlogErrorName,
  logVersionKnown,
  scanEvents,
  type EventFault,
  type EventField,
} from './log.js';

/** CLOCK_MONOTONIC in nanoseconds: the clock of the shim's liveTimeNs on the same host. */
export const monotonicNs: () => bigint = () => process.hrtime.bigint();
