// SPDX-License-Identifier: Apache-2.0
/** What people and programs are told of a VM: all of the status, computed in this one place. Pure. */
import type { FtvmStatus, LagLevel, Place, Side, StatusWord } from './api/ftvm.js';
import type { Pod } from './api/objects.js';
import { epochOf, seconds, type Decision } from './decide.js';
import { conditionSet, type Verdict } from './kit/conditions.js';
import { endOf, newEnds } from './ends.js';
import { awayWords, placeWords, removalWords } from './farewell.js';
import { ANNOTATIONS } from './names.js';
import { nonceOf, NOT_ASKED, type Observation, type SideView } from './observe.js';
import { sentenceSaid, wholeSaid, wordSaid } from './said.js';

/** Which conditions there are, in the order in which they are shown. Ready first: kstatus, Helm and GitOps rely on it. */
export const CONDITIONS = conditionSet('Ready', 'Protected', 'Reconciling', 'Stalled');
type Verdicts = Readonly<Record<(typeof CONDITIONS.types)[number], Verdict>>;

/** Reasons of the protection table that stay as they are until a person or the world around changes something. */
const STALLING = new Set([
  'TwoOwners',
  'NoSpareHost',
  'NoNode',
  'Unknown',
  'StoreAway',
  'StartFailed',
  'VmDown',
]);
/** A guest that waits for its backup so often in vain has a lasting reason. */
const FAILURES_UNTIL_STALLED = 3;

/** A condition's message: the sentences of a table, of sidecars and of nodes in one. */
const MESSAGE_CHARACTERS_MAX = 4_000;

/** Lag above the bound slows the guest; three times as much is out of hand. vSphere's colours. */
const RED_LAG_BOUNDS = 3;

/** @param failure why an effect of this decision was not carried out */
export function statusOf(
  observation: Observation,
  decision: Decision,
  failure: Error | null = null,
): FtvmStatus {
  const { ftvm, now } = observation;
  const before = ftvm.status ?? {};
  const { views, owner, planned } = decision;
  const epoch = epochOf(observation, views);
  const sides = sidesOf(decision);
  const ends = newEnds(views);
  const [end] = ends;
  const lastEnd = end === undefined ? before.lastEnd : { ...end.end, vmi: end.vmi, time: seconds(now) };
  const facts: Facts = { observation, decision, failure, lastEnd };
  return defined({
    observedGeneration: ftvm.metadata.generation ?? 0,
    status: wordOf(facts),
    epoch,
    primary: primaryPlace(before, views, owner),
    backup: placeOf(
      views.find(({ kind, side }) => kind === 'backup' || (side.role === 'backup' && kind === 'starting')),
    ),
    lag: lagOf(observation, owner),
    lastFailover: failoverOf(before, owner),
    sides: planned === null ? sides : [...sides, planned],
    retry: decision.retry,
    lastEnd,
    conditions: CONDITIONS.merge(before.conditions, verdictsOf(facts), {
      generation: ftvm.metadata.generation ?? 0,
      now,
    }),
  });
}

/** What was not known is not there, rather than there and empty. */
function defined(status: { [K in keyof FtvmStatus]: FtvmStatus[K] | undefined }): FtvmStatus {
  return Object.fromEntries(Object.entries(status).filter(([, value]) => value !== undefined));
}

/** All that must be known again after a restart of ours, with what was learned now. */
function sidesOf({ views, forgotten }: Decision): Side[] {
  return views.filter(({ side }) => !forgotten.has(side.vmi)).map(learned);
}

function learned(view: SideView): Side {
  const { side, vmi, pod } = view;
  const nonce = nonceOf(view);
  const node = pod?.spec?.nodeName ?? side.node;
  const end = side.ended ?? (view.kind === 'ended' ? endOf(view) : undefined);
  return {
    ...side,
    ...(vmi === null ? {} : { uid: vmi.metadata.uid }),
    ...(node === undefined ? {} : { node }),
    ...(nonce === null ? {} : { nonce }),
    ...(end === undefined ? {} : { ended: end }),
  };
}

const placeOf = (view: SideView | null | undefined): Place | undefined => {
  if (!view) return undefined;
  const node = view.pod?.spec?.nodeName ?? view.side.node;
  return node === undefined ? { vmi: view.side.vmi } : { vmi: view.side.vmi, node };
};

/** While nobody is owner, the last one stays named as long as something of it is there. */
function primaryPlace(
  before: FtvmStatus,
  views: readonly SideView[],
  owner: SideView | null,
): Place | undefined {
  if (owner !== null) return placeOf(owner);
  return views.some(
    ({ side, kind }) => side.vmi === before.primary?.vmi && kind !== 'ended' && kind !== 'gone',
  )
    ? before.primary
    : undefined;
}

function lagOf({ ftvm }: Observation, owner: SideView | null): LagLevel | undefined {
  const { status } = owner ?? {};
  if (!status?.numbers || owner?.kind !== 'guarded') return undefined;
  const { boundMs } = ftvm.spec.lag;
  if (status.numbers.lagMs <= boundMs) return 'green';
  return status.numbers.lagMs <= RED_LAG_BOUNDS * boundMs ? 'yellow' : 'red';
}

/** Of the side that went live last. Its cause is what it knows of the loss of its primary at that moment. */
function failoverOf(before: FtvmStatus, owner: SideView | null): FtvmStatus['lastFailover'] {
  if (owner === null) return before.lastFailover;
  const { lastFailover: last, protection } = owner.status ?? {};
  if (!last) return before.lastFailover;
  const time = sentenceSaid(last.at);
  if (time === before.lastFailover?.time) return before.lastFailover;
  const gapMs = wholeSaid(last.goLiveMs);
  return {
    time,
    cause: wordSaid(protection?.reason, 'unknown'),
    ...(gapMs === null ? {} : { gapMs }),
  };
}

interface Facts {
  readonly observation: Observation;
  readonly decision: Decision;
  readonly failure: Error | null;
  readonly lastEnd: FtvmStatus['lastEnd'];
}

/** Words that an owner's sidecar may say of itself. */
const OWNERS_WORDS: readonly StatusWord[] = ['Starting', 'Need Secondary VM', 'Disabled', 'VM not Running'];

const WORDS_WITHOUT_OWNER: Readonly<Record<string, StatusWord>> = {
  FirstStart: 'Starting',
  NoNode: 'Starting',
  StartFailed: 'Starting',
  StartedAnew: 'Starting',
  Deciding: 'Starting',
  VmDown: 'VM not Running',
};

/** The owner's own word counts; without an owner nothing is protected. */
function wordOf({ decision }: Facts): StatusWord {
  const { owner, row, deleting } = decision;
  if (deleting) return 'Deleting';
  if (owner === null) return WORDS_WITHOUT_OWNER[row.reason] ?? 'Unknown';
  const protection = owner.status?.protection;
  if (protection?.word === 'Protected') return 'Protected';
  return OWNERS_WORDS.find((one) => one === protection?.state) ?? 'Unknown';
}

function verdictsOf(facts: Facts): Verdicts {
  const { decision, observation } = facts;
  const { deleting, owner } = decision;
  const word = wordOf(facts);
  const stalled = stallOf(facts);
  const settled = word === 'Protected' || (word === 'Disabled' && observation.ftvm.spec.suspended);
  const why = sentenceSaid(sentenceOf(facts), MESSAGE_CHARACTERS_MAX);
  const reason = deleting ? 'Deleting' : decision.row.reason;
  return {
    Ready:
      owner !== null && !deleting
        ? { status: 'True', reason: 'Running', message: `the VM runs: ${placeWords(owner)}` }
        : { status: 'False', reason, message: why },
    Protected:
      word === 'Protected'
        ? { status: 'True', reason: 'Protected', message: why }
        : { status: 'False', reason: protectedReason(facts, reason), message: why },
    Reconciling:
      settled || stalled !== null
        ? { status: 'False', reason: stalled === null ? 'Settled' : 'Stalled', message: why }
        : { status: 'True', reason, message: why },
    Stalled: stalled ?? { status: 'False', reason: 'NotStalled', message: 'nothing stands in the way' },
  };
}

/** Why there is no protection: what the owner's sidecar says, which knows better than a table that looks from outside. */
const protectedReason = ({ decision }: Facts, reason: string): string =>
  decision.deleting ? reason : wordSaid(decision.owner?.status?.protection.reason, reason);

/** What a person or the world around must do, if that is so. */
function stallOf(facts: Facts): Verdict | null {
  const { decision, observation } = facts;
  const { row, views, leftAlone, deleting } = decision;
  const trouble = views.map(({ status }) => status?.trouble ?? null).find((one) => one !== null);
  if (leftAlone.size > 0) return { status: 'True', reason: 'NodeAway', message: awayWords(leftAlone) };
  if (facts.failure !== null) {
    const message = sentenceSaid(facts.failure.message, MESSAGE_CHARACTERS_MAX);
    return { status: 'True', reason: failureReason(facts.failure), message };
  }
  if (deleting) return null;
  if (trouble) {
    const message = sentenceSaid(trouble.message, MESSAGE_CHARACTERS_MAX);
    return { status: 'True', reason: wordSaid(trouble.reason, 'SidecarTrouble'), message };
  }
  const refused = views.map(refusedPod).find((one) => one !== null);
  if (refused !== undefined) {
    return { status: 'True', reason: 'PodRefused', message: sentenceSaid(refused, MESSAGE_CHARACTERS_MAX) };
  }
  const failures = observation.ftvm.status?.retry?.failures ?? 0;
  if (STALLING.has(row.reason) || (row.reason === 'BackingOff' && failures >= FAILURES_UNTIL_STALLED)) {
    return {
      status: 'True',
      reason: row.reason,
      message: sentenceSaid(sentenceOf(facts), MESSAGE_CHARACTERS_MAX),
    };
  }
  return null;
}

const failureReason = (failure: Error): string =>
  wordSaid('code' in failure && typeof failure.code === 'string' ? failure.code : undefined, 'ActionFailed');

/** One sentence: what is so, what was said about it, and what to do where something can be done. */
function sentenceOf(facts: Facts): string {
  const { decision, observation, lastEnd } = facts;
  const { row, owner, views, deleting } = decision;
  if (deleting) return removalWords(decision, observation.lease);
  const said = owner?.status?.protection;
  const parts = [row.words];
  if (said?.reason !== undefined) parts.push(`the owner says: ${said.state ?? said.word}, ${said.reason}`);
  const lease = leaseWords(facts);
  if (lease !== null) parts.push(`the lease store: ${lease}`);
  for (const view of views) parts.push(...complaints(view));
  if (lastEnd !== undefined && tellsEnd(row.reason))
    parts.push(`${lastEnd.vmi} ended: ${lastEnd.reason}, ${lastEnd.message}`);
  if (row.reason === 'VmDown') parts.push(coldStartWords(observation, decision));
  return parts.join('; ');
}

/** What is wrong with it: as the owner says, or who is about to be; as the operator found, which asks only where it must. */
function leaseWords({ decision: { owner, views }, observation: { lease } }: Facts): string | null {
  const asked = owner === null ? views : [owner];
  const said = asked.map(({ status }) => status?.lease ?? null).find((one) => one !== null);
  if (said !== undefined) return said;
  return owner === null && 'reason' in lease && lease !== NOT_ASKED ? lease.reason : null;
}

const tellsEnd = (reason: string): boolean =>
  reason === 'VmDown' || reason === 'StartFailed' || reason === 'BackingOff';

function coldStartWords(observation: Observation, { views }: Decision): string {
  const { name, namespace = 'default' } = observation.ftvm.metadata;
  const epoch = epochOf(observation, views);
  return (
    'to start it anew, what it had in memory is lost: ' +
    `kubectl annotate ftvm ${name} -n ${namespace} --overwrite ${ANNOTATIONS.coldStart}=${epoch}`
  );
}

/** What KubeVirt says of a pod that it cannot make: a quota, pod security, a network that is not there. */
function refusedPod({ side, vmi, pod }: SideView): string | null {
  if (pod !== null) return null;
  const made = vmi?.status?.conditions?.find(({ type }) => type === 'Synchronized');
  return made?.status === 'False'
    ? `${side.vmi} gets no pod: ${made.message ?? 'KubeVirt does not say why'}`
    : null;
}

/** What stands in the way of one side. */
function complaints(view: SideView): string[] {
  const { side, kind, status, pod } = view;
  const refused = refusedPod(view);
  if (refused !== null) return [refused];
  const own = status?.trouble ? [`${side.vmi}: ${status.trouble.message}`] : [];
  if (kind === 'unschedulable') return [...own, `${side.vmi} finds no node: ${schedulerWords(pod)}`];
  return [...own, ...waitingWords(side, pod)];
}

const schedulerWords = (pod: Pod | null): string =>
  pod?.status?.conditions?.find(({ type }) => type === 'PodScheduled')?.message ??
  'the scheduler does not say why';

/** Images that cannot be had, Secrets that are not there. */
function waitingWords({ vmi }: Side, pod: Pod | null): string[] {
  const all = [...(pod?.status?.initContainerStatuses ?? []), ...(pod?.status?.containerStatuses ?? [])];
  return all.flatMap(({ name, state }) => {
    const { reason = '', message = '' } = state?.waiting ?? {};
    const isNews = reason !== '' && reason !== 'PodInitializing' && reason !== 'ContainerCreating';
    return isNews ? [`${vmi}, container ${name}: ${reason} ${message}`.trim()] : [];
  });
}

/** The same in all that is written: nothing needs to be. */
export function sameStatus(left: FtvmStatus | undefined, right: FtvmStatus): boolean {
  return JSON.stringify(sorted(left ?? {})) === JSON.stringify(sorted(right));
}

/** With the keys of each object in one order: the API gives them back in its own. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, one]) => [key, sorted(one)]));
}
