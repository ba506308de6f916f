// SPDX-License-Identifier: Apache-2.0
/**
 * Conditions as Kubernetes means them: one literal names the types in their order, all of them are always there, and
 * the time of a condition is that of the last change of its status. Pure.
 */

export type ConditionStatus = 'True' | 'False' | 'Unknown';

export interface Verdict {
  readonly status: ConditionStatus;
  /** One CamelCase word, for programs; the same word is the event's reason, the metric's label and the log's. */
  readonly reason: string;
  /** A sentence, for people. */
  readonly message: string;
}

/** `Condition` of meta/v1. */
export interface Condition<Type extends string = string> extends Verdict {
  readonly type: Type;
  /** RFC 3339, whole seconds. */
  readonly lastTransitionTime: string;
  readonly observedGeneration: number;
}

/** A mistake in this program: the API server would refuse such a condition. */
export class ConditionError extends Error {
  readonly code = 'KIT_CONDITION';
}

export interface MergeContext {
  /** `metadata.generation` of the object that the verdicts are about. */
  readonly generation: number;
  readonly now: Date;
}

// As the schema of meta/v1 Condition has it.
const TYPE =
  /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$/;
const REASON = /^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/;
const TYPE_CHARACTERS_MAX = 316;
const REASON_CHARACTERS_MAX = 1_024;
const MESSAGE_CHARACTERS_MAX = 32_768;

export class ConditionSet<Type extends string> {
  /** @throws ConditionError for a type that is not one, or that is there twice */
  constructor(readonly types: readonly Type[]) {
    for (const type of types)
      if (!TYPE.test(type) || type.length > TYPE_CHARACTERS_MAX)
        throw new ConditionError(`'${type}' is not a type of conditions: a CamelCase word is`);
    if (new Set(types).size !== types.length)
      throw new ConditionError(`a type is declared twice: ${types.join(', ')}`);
  }

  /**
   * All conditions, in the declared order, from the verdicts of now. Those of other types in `before` are left out:
   * who applies a status owns its own conditions only.
   * @throws ConditionError for a reason that the API would refuse
   */
  merge(
    before: readonly Condition[] | undefined,
    verdicts: Readonly<Record<Type, Verdict>>,
    { generation, now }: MergeContext,
  ): readonly Condition<Type>[] {
    return this.types.map((type) => {
      const { status, reason, message } = checked(type, verdicts[type]);
      const last = before?.find((condition) => condition.type === type);
      const lastTransitionTime = last?.status === status ? last.lastTransitionTime : secondsOf(now);
      return { type, status, reason, message, observedGeneration: generation, lastTransitionTime };
    });
  }

  /** The condition of one type, as it was written. */
  find(conditions: readonly Condition[] | undefined, type: Type): Condition | undefined {
    return conditions?.find((condition) => condition.type === type);
  }

  /** The same in all declared types, in any order: nothing needs to be written. */
  equal(left: readonly Condition[] | undefined, right: readonly Condition[] | undefined): boolean {
    return this.types.every((type) => same(this.find(left, type), this.find(right, type)));
  }
}

/** `conditionSet('Ready', 'Stalled')` */
export function conditionSet<const Type extends string>(...types: readonly Type[]): ConditionSet<Type> {
  return new ConditionSet(types);
}

function same(left: Condition | undefined, right: Condition | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  return (
    left.status === right.status &&
    left.reason === right.reason &&
    left.message === right.message &&
    left.observedGeneration === right.observedGeneration &&
    left.lastTransitionTime === right.lastTransitionTime
  );
}

function checked(type: string, verdict: Verdict): Verdict {
  const { reason, message } = verdict;
  if (!REASON.test(reason) || reason.length > REASON_CHARACTERS_MAX)
    throw new ConditionError(`condition ${type}: '${reason}' is not a reason: one CamelCase word is`);
  // A message may quote what others wrote, of any length: cut it rather than lose the status.
  return { ...verdict, message: message.slice(0, MESSAGE_CHARACTERS_MAX) };
}

/** The API keeps whole seconds: with more, what is read would never equal what was written. */
function secondsOf(now: Date): string {
  return now.toISOString().replace(/\.\d+Z$/, 'Z');
}
