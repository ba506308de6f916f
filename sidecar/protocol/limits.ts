// SPDX-License-Identifier: Apache-2.0
/** Every number of the protocol, with its unit, and what must hold between them. */
import { DIGEST_BYTES } from './primary/digest-queue.js';
import type { Millis } from './types.js';

export interface Limits {
  // -- time --
  /** The I/O side ticks the core this often. */
  readonly tickMs: Millis;
  /** A tick that comes later than this after the last one: what lies between counts as not listened. */
  readonly tickLateMs: Millis;
  /** Beats are sent this often, each way. */
  readonly beatMs: Millis;
  /** A peer not heard this long is dead; a gap this long between two calls is a stall of one's own. */
  readonly deadAfterMs: Millis;
  /** A broken connection must stand again within this, or the peer is dead. */
  readonly reconnectGraceMs: Millis;
  /** A new backup dials again after this. */
  readonly dialRetryMs: Millis;
  /** A new backup that was not accepted for so long gives up. */
  readonly joinGiveUpMs: Millis;
  /** A clone of whose stream nothing moved for so long has failed; also if it is sent, and does not get loaded. */
  readonly cloneGiveUpMs: Millis;
  /** A loaded clone that is not protected and replays nothing for so long has failed (not counting lease trouble). */
  readonly catchUpGiveUpMs: Millis;

  // -- lag --
  /** Lag above this is worth a note; a clone is caught up below it. */
  readonly lagNoteMs: Millis;
  /** Lag above this slows the guest down, unless it shrinks fast enough by itself. */
  readonly lagBoundMs: Millis;
  /** An engine that shows no sign of life for so long stands still. */
  readonly stuckAfterMs: Millis;
  /**
   * A backup that takes up no event for so long although it has log is stuck. Much longer: one event may be 27 million
   * instructions (a boot's, between two ticks of its timer), which took a second each on a host with forty processes
   * waiting for its two cores. Who gives such a backup up too early ends a VM that is about to go live.
   */
  readonly replayStuckAfterMs: Millis;
  /** Distance in time of two samples of the log's head, as long as there is room for them. */
  readonly lagSampleMs: Millis;
  /** Beyond it every second one goes, and their distance doubles. */
  readonly lagSamplesMax: number;
  /** The pace changes at most once in this time, by one step. */
  readonly paceStepMs: Millis;
  readonly paceStepPermille: number;
  /** Lag control never takes away more than this: the guest must go on. */
  readonly paceMaxPermille: number;
  /** Lag must shrink this fast, permille of real time: 500 is half a second less lag a second. */
  readonly paceNeededPermille: number;
  /** Lag shorter than this share of it may shrink more slowly, in proportion: it goes away in about this time. */
  readonly paceSettleMs: Millis;
  /** How fast the backup replays is seen over this time: many times the distance of two acknowledgements. */
  readonly paceWindowMs: Millis;

  // -- lease --
  /** The I/O side answers `unknown` after this. */
  readonly leaseTimeoutMs: Millis;
  /** Pause before a question is put again; doubles up to the maximum. */
  readonly leaseRetryMs: Millis;
  readonly leaseRetryMaxMs: Millis;
  /** An owner looks at the lease this often. */
  readonly peekMs: Millis;
  /** A primary that is switched off claims for so long, so that its backup cannot bring the VM back; then it ends. */
  readonly switchOffClaimMs: Millis;
  /** A backup whose epoch was never armed waits this long for it, then ends. */
  readonly neverArmedMs: Millis;

  // -- network --
  /** A guest that came to this host is announced again after this; each pause is twice the one before. */
  readonly announceAgainMs: Millis;
  /** So often in all: the last one comes after announceAgainMs * (2^(announceTimes-1) - 1). */
  readonly announceTimes: number;

  // -- planned failover --
  /** The guest is held this long before its log's head counts as final. */
  readonly handoverSettleMs: Millis;
  /** The backup has this long to take over; then the primary claims. */
  readonly handoverWaitMs: Millis;

  // -- sizes --
  /** Longest range of one `ship` effect. */
  readonly shipChunkBytes: number;
  /** Log under way (shipped, not acknowledged): keeps beats from queueing behind log. */
  readonly shipWindowBytes: number;
  /** Outputs waiting in the gate; when full the guest is held. */
  readonly heldOutputsMax: number;
  readonly heldBytesMax: number;
  /** Below this share of either bound, the guest goes on. Permille. */
  readonly heldResumePermille: number;
  /** Digests sent and not known to be compared: what the backup must have room for. */
  readonly digestsMax: number;
  /** Memory for digests not compared, on the primary; when full the guest is held. */
  readonly digestBytesMax: number;
  /**
   * Outputs and digests may exceed their bound by this while the guest is coming to a stop: as many small packets as
   * the NIC's socket can hold (SEND_BUFFER_BYTES of native/shim/output.c), for they are all read in one turn.
   */
  readonly holdSlackOutputs: number;
  readonly holdSlackBytes: number;
}

export const DEFAULT_LIMITS: Limits = {
  tickMs: 10,
  tickLateMs: 40,
  beatMs: 50,
  deadAfterMs: 300,
  reconnectGraceMs: 100,
  dialRetryMs: 100,
  joinGiveUpMs: 30_000,
  cloneGiveUpMs: 120_000,
  catchUpGiveUpMs: 60_000,

  lagNoteMs: 100,
  lagBoundMs: 1_000,
  stuckAfterMs: 3_000,
  replayStuckAfterMs: 10_000,
  lagSampleMs: 10,
  lagSamplesMax: 8_192,
  paceStepMs: 100,
  paceStepPermille: 25,
  paceMaxPermille: 900,
  paceNeededPermille: 500,
  paceSettleMs: 4_000,
  paceWindowMs: 2_000,

  leaseTimeoutMs: 250,
  leaseRetryMs: 20,
  leaseRetryMaxMs: 500,
  peekMs: 1_000,
  switchOffClaimMs: 5_000,
  neverArmedMs: 5_000,

  announceAgainMs: 50,
  announceTimes: 8,

  handoverSettleMs: 20,
  handoverWaitMs: 1_000,

  shipChunkBytes: 256 * 1024,
  shipWindowBytes: 1024 * 1024,
  heldOutputsMax: 4_096,
  heldBytesMax: 8 * 1024 * 1024,
  heldResumePermille: 500,
  digestsMax: 65_536,
  digestBytesMax: 16 * 1024 * 1024,
  holdSlackOutputs: 16_384,
  holdSlackBytes: 8 * 1024 * 1024,
};

/** A setting that cannot work. Change the named limits so that the sentence is true. */
export class LimitsError extends Error {
  readonly code = 'LOCKSTEP_LIMITS';
}

const RELATIONS: readonly (readonly [string, (l: Limits) => boolean])[] = [
  ['all limits are finite and above zero', (l) => Object.values(l).every((v) => Number.isFinite(v) && v > 0)],
  ['tickMs * 2 <= beatMs', (l) => l.tickMs * 2 <= l.beatMs],
  [
    'tickMs * 2 <= tickLateMs < deadAfterMs',
    (l) => l.tickMs * 2 <= l.tickLateMs && l.tickLateMs < l.deadAfterMs,
  ],
  ['beatMs * 3 < deadAfterMs', (l) => l.beatMs * 3 < l.deadAfterMs],
  ['reconnectGraceMs <= deadAfterMs', (l) => l.reconnectGraceMs <= l.deadAfterMs],
  ['dialRetryMs < joinGiveUpMs', (l) => l.dialRetryMs < l.joinGiveUpMs],
  ['deadAfterMs < cloneGiveUpMs', (l) => l.deadAfterMs < l.cloneGiveUpMs],
  ['deadAfterMs < catchUpGiveUpMs', (l) => l.deadAfterMs < l.catchUpGiveUpMs],
  ['lagNoteMs < lagBoundMs', (l) => l.lagNoteMs < l.lagBoundMs],
  ['lagBoundMs < lagSampleMs * lagSamplesMax', (l) => l.lagBoundMs < l.lagSampleMs * l.lagSamplesMax],
  ['deadAfterMs < stuckAfterMs', (l) => l.deadAfterMs < l.stuckAfterMs],
  ['stuckAfterMs <= replayStuckAfterMs', (l) => l.stuckAfterMs <= l.replayStuckAfterMs],
  [
    'paceStepPermille <= paceMaxPermille < 1000',
    (l) => l.paceStepPermille <= l.paceMaxPermille && l.paceMaxPermille < 1000,
  ],
  [
    'paceStepPermille <= paceNeededPermille < 1000',
    (l) => l.paceStepPermille <= l.paceNeededPermille && l.paceNeededPermille < 1000,
  ],
  ['paceStepMs <= paceWindowMs', (l) => l.paceStepMs <= l.paceWindowMs],
  ['beatMs * 4 <= paceWindowMs', (l) => l.beatMs * 4 <= l.paceWindowMs],
  ['lagBoundMs < paceSettleMs', (l) => l.lagBoundMs < l.paceSettleMs],
  ['leaseRetryMs <= leaseRetryMaxMs', (l) => l.leaseRetryMs <= l.leaseRetryMaxMs],
  [
    'leaseTimeoutMs + leaseRetryMaxMs < switchOffClaimMs',
    (l) => l.leaseTimeoutMs + l.leaseRetryMaxMs < l.switchOffClaimMs,
  ],
  ['leaseTimeoutMs < neverArmedMs', (l) => l.leaseTimeoutMs < l.neverArmedMs],
  ['handoverSettleMs < handoverWaitMs', (l) => l.handoverSettleMs < l.handoverWaitMs],
  ['shipChunkBytes <= shipWindowBytes', (l) => l.shipChunkBytes <= l.shipWindowBytes],
  ['heldResumePermille < 1000', (l) => l.heldResumePermille < 1000],
  ['heldOutputsMax <= digestsMax', (l) => l.heldOutputsMax <= l.digestsMax],
  [`digestsMax * ${DIGEST_BYTES} <= digestBytesMax`, (l) => l.digestsMax * DIGEST_BYTES <= l.digestBytesMax],
];

/** Defaults with some changed, e.g. `makeLimits({deadAfterMs: 500})`. Throws LimitsError. */
export function makeLimits(changes: Partial<Limits> = {}): Limits {
  const limits = { ...DEFAULT_LIMITS, ...changes };
  for (const [sentence, holds] of RELATIONS) {
    if (!holds(limits)) throw new LimitsError(`limits: this must hold, and does not: ${sentence}`);
  }
  return limits;
}
