// SPDX-License-Identifier: Apache-2.0
/** One look at one VM: observe, decide, act, tell. What was not reached is reached by the next look. */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'winston';
import type { Ftvm, FtvmStatus, StoredFtvm } from './api/ftvm.js';
import { EVENTS, FTVMS } from './api/resources.js';
import { CallError } from '../sidecar/kubevirt/client.js';
import { StaleViewError, type Actor, type Held } from './act.js';
import { decideVm, type Decision } from './decide.js';
import type { Effect } from './effects.js';
import { changesOf, eventOf, type Told } from './events.js';
import type { ObjectClient } from './kit/apply.js';
import { isApiError } from './kit/errors.js';
import { keyOf } from './kit/object.js';
import { again, done, type Outcome } from './kit/outcome.js';
import { ANNOTATIONS, FINALIZER } from './names.js';
import type { Observation } from './observe.js';
import { NoPeerError } from './resources/secret.js';
import { sameStatus, statusOf } from './status.js';
import type { Cache, World } from './world.js';
import type { Sides } from './sides.js';

export interface ReconcilerOptions {
  readonly ftvms: Cache<Ftvm>;
  readonly world: World;
  readonly actor: Pick<Actor, 'carryOut' | 'renew'>;
  readonly sides: Pick<Sides, 'keepOnly'>;
  readonly client: ObjectClient;
  /** Own writes of FaultTolerantVMs. */
  readonly own: Held;
  readonly logger: Logger;
  readonly onStatus: (key: string, status: FtvmStatus | null) => void;
  /** Four hex digits; tests hand in their own. */
  readonly suffix?: () => string;
}

/** Sidecars answer within a second, or do not. */
const ASK_AGAIN_MS = 250;
/** Nothing hangs on an event: certificates are looked at this often, and all else that nobody tells. */
const LOOK_MS_MAX = 60_000;

/** Over by itself, or by the next look: no news for people. */
const isPassing = (failure: Error): boolean =>
  failure instanceof NoPeerError ||
  failure instanceof StaleViewError ||
  failure instanceof CallError ||
  isApiError(failure, 'Conflict', 'NotLeader', 'NotFound', 'Unavailable', 'Unreachable', 'TooMany');

/** It must not be done when the other one was not. */
function hangsOn(effect: Effect, failed: Effect | null): boolean {
  if (effect.type === 'removeFinalizer') return true;
  return effect.type === 'makeVmi' && failed?.type === 'makeSecret' && failed.side.vmi === effect.side.vmi;
}

const newSuffix = (): string => randomBytes(2).toString('hex');

export class Reconciler {
  constructor(private readonly options: ReconcilerOptions) {}

  readonly reconcile = async (key: string): Promise<Outcome> => {
    const { ftvms, world, sides, onStatus } = this.options;
    const ftvm = ftvms.get(key);
    if (ftvm === undefined) {
      sides.keepOnly(key, new Set());
      onStatus(key, null);
      return done;
    }
    if (ftvm.metadata.annotations?.[ANNOTATIONS.pausedReconcile] === 'true') return done;
    const gathered = await world.gather(ftvm);
    if (gathered.kind === 'waiting') return again(ASK_AGAIN_MS, 'sidecars are being asked');
    return this.#take(gathered.observation);
  };

  async #take(observation: Observation): Promise<Outcome> {
    const { ftvm, now } = observation;
    const suffix = (this.options.suffix ?? newSuffix)();
    const decision = decideVm(observation, `${ftvm.metadata.name}-${suffix}`);
    await this.#announce(ftvm, decision.told, now);
    const failure = await this.#act(ftvm, decision);
    const isGone = decision.effects.some(({ type }) => type === 'removeFinalizer') && failure === null;
    const hasFinalizer = (ftvm.metadata.finalizers ?? []).includes(FINALIZER);
    if (!isGone && hasFinalizer) {
      await this.#tell(observation, decision, failure !== null && isPassing(failure) ? null : failure);
    }
    if (failure !== null) throw failure;
    return again(decision.againMs ?? LOOK_MS_MAX, decision.row.reason);
  }

  /** In their order. What does not hang on one that failed is done all the same; the first failure is told. */
  async #act(ftvm: StoredFtvm, { effects, views, row }: Decision): Promise<Error | null> {
    const { actor, logger } = this.options;
    const failures: { readonly effect: Effect | null; readonly error: Error }[] = [];
    const attempt = async (effect: Effect | null, act: () => Promise<void>): Promise<void> => {
      try {
        await act();
      } catch (error) {
        failures.push({ effect, error: error as Error });
      }
    };
    for (const effect of effects) {
      if (failures.some(({ effect: failed }) => hangsOn(effect, failed))) continue;
      await attempt(effect, async () => {
        await actor.carryOut(ftvm, effect);
        if (effect.type === 'makeService') return;
        logger.info(`${effect.type} ${wordsOf(effect)}`, { vm: keyOf(ftvm), reason: row.reason });
      });
    }
    const sides = views.map(({ side }) => side);
    await attempt(null, () => actor.renew(ftvm, sides));
    return failures[0]?.error ?? null;
  }

  /** Written only when it changed, and only over the very status that it was made from: a plan is made once. */
  async #tell(observation: Observation, decision: Decision, failure: Error | null): Promise<void> {
    const { ftvm, now } = observation;
    const { client, own, onStatus } = this.options;
    const status = statusOf(observation, decision, failure);
    onStatus(keyOf(ftvm), status);
    if (sameStatus(ftvm.status, status)) return;
    // Before the status: who ends in between, or is too late with it, has told what the next one finds told.
    await this.#announce(ftvm, changesOf(ftvm.status ?? {}, status), now);
    const { name, namespace, resourceVersion } = ftvm.metadata;
    const object = { metadata: { name, ...(namespace === undefined ? {} : { namespace }) }, status };
    await own.write(keyOf(ftvm), () => client.applyStatus(FTVMS, object, { resourceVersion }));
  }

  async #announce(ftvm: StoredFtvm, all: readonly Told[], now: Date): Promise<void> {
    const { logger } = this.options;
    for (const told of all) {
      if (!(await this.#isNews(ftvm, told, now))) continue;
      const level = told.type === 'Warning' ? 'warn' : 'info';
      logger.log(level, told.note, { vm: keyOf(ftvm), reason: told.reason });
    }
  }

  /** An event that can't be written is only that: log and condition say the same. */
  async #isNews(ftvm: StoredFtvm, told: Told, now: Date): Promise<boolean> {
    const { client, logger } = this.options;
    try {
      return (await client.createIfAbsent(EVENTS, eventOf(ftvm, told, now))).created;
    } catch (error) {
      if (!isApiError(error)) throw error;
      logger.warn(`event not written: ${error.message}`, { vm: keyOf(ftvm), reason: error.code });
      return true;
    }
  }
}

const wordsOf = (effect: object): string =>
  Object.entries(effect)
    .filter(([name, value]) => name !== 'type' && name !== 'side' && typeof value !== 'object')
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(' ');
