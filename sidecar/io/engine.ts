// SPDX-License-Identifier: Apache-2.0
/** The record/replay engine as the protocol sees it: positions and states, read from the ring the shim shares. */
import type { Ring, RingSnapshot } from '../../native/addon/index.js';
import type { ProtocolEvent } from '../protocol/events.js';
import type { EngineIdentity, Lsn } from '../protocol/types.js';
import { PacketMarks } from './packet-marks.js';

/** Log is shipped in batches of at least this age, unless an output is waiting for it. */
const WATCH_INTERVAL_US = 300;

type EngineRing = Pick<
  Ring,
  'closed' | 'consumed' | 'netLogged' | 'produced' | 'snapshot' | 'state' | 'watch'
>;

/** Turns what the shim changes in the ring into events, each once, in the order that the protocol wants. */
export class Engine {
  private produced: Lsn = -1;
  private consumed: Lsn = -1;
  private failed = false;
  private wentLive = false;
  private beat = -1;
  private pointsSeen: number;
  private readonly marks = new PacketMarks();

  /**
   * @param post takes the events; may call back into this object.
   * @param onClonePoint takes a new clone point: the position, and how many frames the guest had sent before it.
   * @param isCloning whether a clone point is awaited.
   */
  constructor(
    private readonly ring: EngineRing,
    private readonly post: (event: ProtocolEvent) => void,
    private readonly onClonePoint: (lsn: Lsn, frames: number) => void,
    private readonly isCloning: () => boolean,
  ) {
    this.pointsSeen = ring.snapshot().cloneAttempt;
  }

  /** Begins to watch. */
  start(): void {
    this.ring.watch({ minIntervalUs: WATCH_INTERVAL_US }, () => {
      this.observe();
    });
  }

  /** The head of the log, told to the protocol before anything that was made later. */
  head(): Lsn {
    const packets = this.ring.netLogged; // first: then they all lie below
    const produced = this.ring.produced;
    this.marks.note(packets, produced);
    return produced;
  }

  /** Packets for the guest that the log below `lsn` holds, as far as known. Exact for what was a head. */
  packetsBelow(lsn: Lsn): number {
    return this.marks.below(lsn);
  }

  /** Looks at the ring now. Cheap when nothing changed. */
  observe(): void {
    if (this.failed || this.ring.closed) return;
    const state = this.ring.state;
    if (state === 'failed') this.fail();
    else if (state === 'replaying') this.observeConsumed();
    else if (state === 'live' || state === 'recording') this.observeRecorder();
  }

  /** Tells what is looked at with each tick only: the engine's signs of life, and a clone point that nobody awaits. */
  observeSlowly(): void {
    if (this.ring.closed) return;
    const snapshot = this.ring.snapshot();
    this.tellPoint(snapshot);
    if (snapshot.qemuBeat === this.beat) return;
    this.beat = snapshot.qemuBeat;
    this.post({ type: 'engineBeat', beat: this.beat });
  }

  /** Whether QEMU has opened its log, so that `identity` can be read. @throws EngineError when it refused. */
  get ready(): boolean {
    const state = this.ring.state;
    if (state === 'failed') throw new EngineError(this.errorText());
    return state !== 'none';
  }

  /** What must be equal on the other side. `deviceHash` is the business of whoever made the command line. */
  identity(deviceHash: string): EngineIdentity {
    const { logVersion, qemuVersion } = this.ring.snapshot();
    return { engine: 'record-replay', logVersion, qemuVersion, deviceHash };
  }

  /** Tells that the engine went live, if it did: before anything that it made afterwards. */
  observeLive(): void {
    if (this.wentLive || this.ring.closed || this.ring.state !== 'live') return;
    this.wentLive = true;
    this.post({ type: 'live', lsn: this.ring.snapshot().liveLsn });
  }

  private observeRecorder(): void {
    this.observeLive();
    // A clone point comes before the log that was made after it. The whole control page is read for it: a few µs that each
    // output would pay. One of a clone that was given up, for which QEMU's migration is over, has time until the next tick.
    if (this.isCloning()) this.tellPoint(this.ring.snapshot());
    const produced = this.head();
    if (produced === this.produced) return;
    this.produced = produced;
    this.post({ type: 'produced', lsn: produced });
  }

  private tellPoint({ cloneAttempt, cloneState, cloneLsn, cloneFrames }: RingSnapshot): void {
    if (cloneAttempt === this.pointsSeen || cloneState !== 'point') return;
    this.pointsSeen = cloneAttempt;
    this.onClonePoint(cloneLsn, cloneFrames);
  }

  private observeConsumed(): void {
    const consumed = this.ring.consumed;
    if (consumed === this.consumed) return;
    this.consumed = consumed;
    this.post({ type: 'consumed', lsn: consumed });
  }

  private fail(): void {
    this.failed = true;
    this.post({ type: 'engineFailed', detail: this.errorText() });
  }

  private errorText(): string {
    const { errorName, errorLsn, errorText } = this.ring.snapshot();
    return `${errorName} at ${String(errorLsn)}: ${errorText}`;
  }
}

/** The shim refused or gave up; the message has its words. */
export class EngineError extends Error {
  readonly code = 'LOCKSTEP_ENGINE';
}
