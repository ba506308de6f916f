// SPDX-License-Identifier: Apache-2.0
// The client-visible gap of a failover: the longest wait of a closed-loop client that spans the fault.
import { setTimeout as sleep } from 'node:timers/promises';
import { BenchError } from '../errors.js';
import type { Moment, PairRig } from '../pair/rig.js';
import { journalTime, type SidecarView } from '../pair/view.js';
import type { Row } from '../report.js';
import type { Wait, Window } from '../station/messages.js';

/** Waits that began later than this after the fault are not the fault's. */
const SPAN_MS = 1000;
const REPLY_MS_MAX = 30_000;
/** After a clone the new backup's first seconds are its busiest. */
const SETTLE_MS = 1500;
/** The fault shall meet each moment of a request's life. */
const JITTER_MS = 50;

/** One failover. All times in ms; parts are null when they are not known. */
export interface Gap {
  readonly gapMs: number;
  /** From the fault to the request that waited so long: negative when it was on its way already. */
  readonly sentMs: number;
  readonly retransmits: number;
  readonly detectMs: number | null;
  readonly claimMs: number | null;
  readonly goLiveMs: number | null;
  readonly replyMs: number | null;
}

/** The longest of the waits that reach behind the fault. @throws BenchError when there is none. */
export function spanning(waits: readonly Wait[], faultMs: number): Wait {
  const spans = waits.filter(([sentAt, waited]) => sentAt + waited >= faultMs && sentAt <= faultMs + SPAN_MS);
  const [first, ...rest] = spans;
  if (first === undefined) throw new BenchError('no reply came around the fault');
  return rest.reduce((longest, wait) => (wait[1] > longest[1] ? wait : longest), first);
}

/** Windows from the fault on, until a reply came to a request that was sent well behind it. */
async function watch(rig: PairRig, faultMs: number): Promise<Window> {
  const waits: Wait[] = [];
  const deadline = performance.now() + REPLY_MS_MAX;
  for (;;) {
    await sleep(SPAN_MS);
    const window = await rig.station.window();
    waits.push(...window.waits);
    if (waits.some(([sentAt]) => sentAt > faultMs + SPAN_MS)) return { ...window, waits };
    if (performance.now() > deadline) throw new BenchError('the client gets no reply any more');
  }
}

function parts(
  survivor: SidecarView,
  fault: Moment,
  [sentAt, waited]: Wait,
): Omit<Gap, 'gapMs' | 'sentMs' | 'retransmits'> {
  const from = fault.wallMs - 1;
  const claimAt = journalTime(survivor, 'claiming', from);
  const wonAt = journalTime(survivor, 'goingLive', from);
  const { lastFailover } = survivor;
  const liveAt = lastFailover === null ? null : Date.parse(lastFailover.at);
  const toWallMs = fault.wallMs - fault.monotonicMs;
  const spansLive = liveAt !== null && sentAt + toWallMs <= liveAt;
  const between = (a: number | null, b: number | null) =>
    a === null || b === null ? null : Math.max(0, b - a);
  return {
    detectMs: between(fault.wallMs, claimAt),
    claimMs: between(claimAt, wonAt),
    goLiveMs: between(wonAt, liveAt),
    replyMs: spansLive ? between(liveAt, sentAt + waited + toWallMs) : null,
  };
}

/** Protects the pair, lets the client count, breaks the primary's host by `fault`, and repairs it by `mend`. */
export async function failover(
  rig: PairRig,
  fault: (host: string) => Promise<Moment>,
  mend: (host: string) => Promise<unknown>,
): Promise<Gap> {
  const { primary } = await rig.protect();
  if (primary === null) throw new BenchError('protected without a primary');
  await rig.station.count(0);
  await sleep(SETTLE_MS + Math.random() * JITTER_MS);
  const before = await rig.station.window();
  const at = await fault(primary);
  const seen = await watch(rig, at.monotonicMs);
  const wait = spanning([...before.waits, ...seen.waits], at.monotonicMs);
  const moved = await rig.moved(primary);
  const survivor = await rig.sidecar(moved.primary);
  await mend(primary);
  return {
    gapMs: wait[1],
    sentMs: wait[0] - at.monotonicMs,
    retransmits: seen.retransmits - before.retransmits,
    ...parts(survivor, at, wait),
  };
}

const numbers = (gaps: readonly Gap[], pick: (gap: Gap) => number | null): number[] =>
  gaps.map(pick).filter((value) => value !== null);

/** The rows of a failover's table, but for the aim's. */
export function gapRows(gaps: readonly Gap[]): Row[] {
  const again = gaps.filter((gap) => gap.retransmits > 0);
  const kept = gaps.filter((gap) => gap.retransmits === 0);
  return [
    { what: '  client did not have to send again', unit: 'ms', values: kept.map((gap) => gap.gapMs) },
    { what: '  client had to send again', unit: 'ms', values: again.map((gap) => gap.gapMs) },
    { what: '    its request, sent after the fault', unit: 'ms', values: again.map((gap) => gap.sentMs) },
    { what: '    the same of the others', unit: 'ms', values: kept.map((gap) => gap.sentMs) },
    { what: '  fault -> noticed', unit: 'ms', values: numbers(gaps, (gap) => gap.detectMs) },
    { what: '  noticed -> lease won', unit: 'ms', values: numbers(gaps, (gap) => gap.claimMs) },
    { what: '  lease won -> live', unit: 'ms', values: numbers(gaps, (gap) => gap.goLiveMs) },
    { what: '  live -> reply', unit: 'ms', values: numbers(gaps, (gap) => gap.replyMs) },
  ];
}
