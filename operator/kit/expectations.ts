// SPDX-License-Identifier: Apache-2.0
/**
 * Own writes. A controller that decides on a cache which does not show its last write decides twice: the classic way
 * to pods without end. So a key is held until the informer has shown what came back from the write. When that takes
 * too long the informer lists again (what is listed is never older than what was written before), and when even that
 * does not come, the key is let go at a bound, and that is told.
 *
 * One for each informer; only for objects that it selects.
 */
import { isApiError } from './errors.js';
import type { Informer } from './informer.js';
import type { KubeObject, Stored } from './object.js';
import type { Time } from './time.js';

export interface ExpectationLimits {
  /** Not shown for so long: the informer lists again. */
  readonly refreshAfterMs: number;
  /** Not shown for so long, not even by a list: the key is let go. */
  readonly giveUpAfterMs: number;
}

export const EXPECTATION_LIMITS: ExpectationLimits = { refreshAfterMs: 5_000, giveUpAfterMs: 300_000 };

export type ExpectationEvent =
  /** @param afterMs from the answer of the write */
  | { readonly type: 'shown'; readonly key: string; readonly afterMs: number }
  | { readonly type: 'overdue'; readonly key: string }
  | { readonly type: 'givenUp'; readonly key: string; readonly afterMs: number };

export interface ExpectationsOptions<T extends KubeObject> {
  readonly informer: Informer<T>;
  readonly time: Time;
  readonly limits?: Partial<ExpectationLimits>;
  /** Must not throw. */
  readonly observe?: (event: ExpectationEvent) => void;
}

/** What must be seen. */
type Sign =
  | { readonly kind: 'version'; readonly uid: string; readonly version: string }
  | { readonly kind: 'removal'; readonly uid: string }
  /** A list that began after this; any. Nobody knows what a write without an answer has done. */
  | { readonly kind: 'list' };

interface Expectation {
  readonly sign: Sign;
  readonly sinceMs: number;
  refreshed: boolean;
}

/** What the informer showed while a write was under way: its answer may come after its event. */
class Witness {
  readonly #versions = new Set<string>();
  readonly #gone = new Set<string>();

  saw({ metadata }: Stored): void {
    this.#versions.add(`${metadata.uid} ${metadata.resourceVersion}`);
    if (metadata.deletionTimestamp !== undefined) this.#gone.add(metadata.uid);
  }

  lost({ metadata }: Stored): void {
    this.#gone.add(metadata.uid);
  }

  has(sign: Sign): boolean {
    if (sign.kind === 'list') return false;
    if (this.#gone.has(sign.uid)) return true;
    return sign.kind === 'version' && this.#versions.has(`${sign.uid} ${sign.version}`);
  }
}

export class Expectations<T extends KubeObject> {
  readonly #limits: ExpectationLimits;
  readonly #expected = new Map<string, Set<Expectation>>();
  readonly #witnesses = new Set<Witness>();
  readonly #releaseListeners = new Set<(key: string) => void>();
  readonly #unfollow: () => void;

  constructor(private readonly options: ExpectationsOptions<T>) {
    this.#limits = { ...EXPECTATION_LIMITS, ...options.limits };
    const { refreshAfterMs, giveUpAfterMs } = this.#limits;
    if (!(0 <= refreshAfterMs && refreshAfterMs < giveUpAfterMs))
      throw new RangeError(
        `0 <= refreshAfterMs < giveUpAfterMs must hold: ${refreshAfterMs}, ${giveUpAfterMs}`,
      );
    this.#unfollow = options.informer.on({
      add: (object) => this.#saw(object),
      update: (object, before) => {
        // A write that changed nothing comes back with a version that was there before.
        for (const witness of this.#witnesses) witness.saw(before);
        this.#saw(object);
      },
      delete: (last) => this.#lost(last),
      relisted: (startedAtMs) => this.#release(({ sinceMs }) => sinceMs <= startedAtMs),
    });
  }

  /** Carries out a write that answers with the object as it is now, and holds `key` until that is shown. */
  async write<O extends KubeObject>(key: string, perform: () => Promise<Stored<O>>): Promise<Stored<O>> {
    return this.#perform(key, perform, versionSign);
  }

  /** The same for `createIfAbsent`. */
  async create<O extends KubeObject>(
    key: string,
    perform: () => Promise<{ readonly object: Stored<O>; readonly created: boolean }>,
  ): Promise<{ readonly object: Stored<O>; readonly created: boolean }> {
    return this.#perform(key, perform, ({ object }) => versionSign(object));
  }

  /** The same for a deletion: shown is that the object is gone, or about to go. */
  async remove(
    key: string,
    uid: string,
    perform: () => Promise<'deleted' | 'absent'>,
  ): Promise<'deleted' | 'absent'> {
    return this.#perform(key, perform, () => ({ kind: 'removal', uid }));
  }

  /** null: all that was written for this key is shown. Otherwise the time, in ms, after which to ask again. */
  holdMs(key: string): number | null {
    const nowMs = this.options.time.now();
    for (const expectation of this.#expected.get(key) ?? []) {
      const ageMs = nowMs - expectation.sinceMs;
      if (ageMs >= this.#limits.giveUpAfterMs) {
        this.#forget(key, expectation);
        this.#tell({ type: 'givenUp', key, afterMs: ageMs });
        continue;
      }
      if (ageMs < this.#limits.refreshAfterMs && expectation.sign.kind !== 'list')
        return this.#limits.refreshAfterMs - ageMs;
      if (!expectation.refreshed) this.#refresh(key, expectation);
      return this.#limits.giveUpAfterMs - ageMs;
    }
    return null;
  }

  /** Called for a key of which nothing is outstanding any more. */
  onRelease(listener: (key: string) => void): () => void {
    this.#releaseListeners.add(listener);
    return () => this.#releaseListeners.delete(listener);
  }

  /** Hears the informer no more. */
  close(): void {
    this.#unfollow();
  }

  async #perform<Answer>(
    key: string,
    perform: () => Promise<Answer>,
    signOf: (answer: Answer) => Sign,
  ): Promise<Answer> {
    const witness = new Witness();
    this.#witnesses.add(witness);
    try {
      const answer = await perform();
      const sign = signOf(answer);
      if (!witness.has(sign) && !this.#isShown(sign)) this.#expect(key, sign);
      return answer;
    } catch (error) {
      if (isApiError(error, 'Unreachable', 'Malformed')) this.#expect(key, { kind: 'list' });
      throw error;
    } finally {
      this.#witnesses.delete(witness);
    }
  }

  #isShown(sign: Sign): boolean {
    if (sign.kind === 'list') return false;
    const cached = this.options.informer.byUid(sign.uid)?.metadata;
    if (sign.kind === 'version') return cached?.resourceVersion === sign.version;
    return cached === undefined || cached.deletionTimestamp !== undefined;
  }

  #expect(key: string, sign: Sign): void {
    const all = this.#expected.get(key) ?? new Set<Expectation>();
    this.#expected.set(key, all);
    all.add({ sign, sinceMs: this.options.time.now(), refreshed: false });
  }

  #refresh(key: string, expectation: Expectation): void {
    expectation.refreshed = true;
    this.#tell({ type: 'overdue', key });
    this.options.informer.relist('own write');
  }

  #saw(object: Stored<T>): void {
    for (const witness of this.#witnesses) witness.saw(object);
    const { uid, resourceVersion, deletionTimestamp } = object.metadata;
    this.#release(({ sign }) => {
      if (sign.kind === 'list' || sign.uid !== uid) return false;
      return sign.kind === 'version' ? sign.version === resourceVersion : deletionTimestamp !== undefined;
    });
  }

  #lost(last: Stored<T>): void {
    for (const witness of this.#witnesses) witness.lost(last);
    this.#release(({ sign }) => sign.kind !== 'list' && sign.uid === last.metadata.uid);
  }

  #release(isMet: (expectation: Expectation) => boolean): void {
    const nowMs = this.options.time.now();
    for (const [key, all] of this.#expected)
      for (const expectation of all) {
        if (!isMet(expectation)) continue;
        this.#forget(key, expectation);
        this.#tell({ type: 'shown', key, afterMs: nowMs - expectation.sinceMs });
      }
  }

  #forget(key: string, expectation: Expectation): void {
    const all = this.#expected.get(key);
    all?.delete(expectation);
    if (all?.size !== 0) return;
    this.#expected.delete(key);
    for (const listener of this.#releaseListeners) listener(key);
  }

  #tell(event: ExpectationEvent): void {
    this.options.observe?.(event);
  }
}

function versionSign({ metadata }: Stored): Sign {
  return { kind: 'version', uid: metadata.uid, version: metadata.resourceVersion };
}
