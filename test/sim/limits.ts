// SPDX-License-Identifier: Apache-2.0
import type { Limits } from '../../sidecar/protocol/limits.js';

/** Small bounds, so that runs of seconds meet all of them. Times of detection are the product's own. */
export const SIM_LIMITS: Partial<Limits> = {
  tickMs: 20,
  joinGiveUpMs: 3_000,
  cloneGiveUpMs: 2_000,
  catchUpGiveUpMs: 3_000,
  lagBoundMs: 400,
  lagSamplesMax: 48,
  stuckAfterMs: 1_400,
  replayStuckAfterMs: 1_400,
  paceStepPermille: 50,
  paceSettleMs: 1_600,
  paceWindowMs: 400,
  peekMs: 250,
  switchOffClaimMs: 1_000,
  neverArmedMs: 1_200,
  handoverWaitMs: 500,
  shipChunkBytes: 200,
  shipWindowBytes: 1_500,
  heldOutputsMax: 24,
  heldBytesMax: 4_096,
  digestsMax: 40,
  digestBytesMax: 60 * 24,
  holdSlackOutputs: 24,
  holdSlackBytes: 4_096,
};
