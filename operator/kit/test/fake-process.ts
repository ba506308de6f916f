// SPDX-License-Identifier: Apache-2.0
/** A process that can stand still: its timers and the answers to its calls wait meanwhile, the clock goes on. */
import type { Api, ApiRequest } from '../api.js';
import { ApiError } from '../errors.js';
import type { Time } from '../time.js';
import { settled } from './fake-time.js';

/** Enough of them for anything that was on its way. */
const TURNS = 20;

export class FakeProcess implements Api {
  readonly time: Time;
  #awake: Promise<void> = Promise.resolve();
  #wake: (() => void) | null = null;
  #late: (() => void)[] = [];
  #dead = false;

  constructor(
    time: Time,
    private readonly inner: Api,
  ) {
    this.time = {
      now: () => time.now(),
      after: (delayMs, fire) => {
        let cancelled = false;
        const cancel = time.after(delayMs, () => {
          const run = (): void => {
            if (!cancelled) fire();
          };
          if (this.#wake === null) run();
          else this.#late.push(run);
        });
        return () => {
          cancelled = true;
          cancel();
        };
      },
    };
  }

  pause(): void {
    if (this.#wake !== null) return;
    this.#awake = new Promise((resolve) => (this.#wake = resolve));
  }

  /** @param first what comes through at once: the order is anybody's guess */
  async resume(first: 'timers' | 'answers' = 'timers'): Promise<void> {
    const wake = this.#wake;
    if (wake === null) return;
    if (first === 'answers') {
      wake();
      for (let turn = 0; turn < TURNS; turn++) await settled();
    }
    this.#wake = null;
    for (const run of this.#late.splice(0)) run();
    wake();
  }

  /** From now on it sends nothing and hears nothing. What it has sent may still be carried out. */
  async die(): Promise<void> {
    this.#dead = true;
    await this.resume();
  }

  async call(request: ApiRequest): Promise<unknown> {
    this.#mustLive();
    try {
      return await this.inner.call(request);
    } finally {
      await this.#awake;
      this.#mustLive();
    }
  }

  async stream(request: ApiRequest): Promise<AsyncIterable<string>> {
    this.#mustLive();
    return this.#pieces(await this.inner.stream(request).finally(() => this.#awake));
  }

  async *#pieces(pieces: AsyncIterable<string>): AsyncGenerator<string> {
    try {
      for await (const piece of pieces) {
        await this.#awake;
        this.#mustLive();
        yield piece;
      }
    } finally {
      await this.#awake;
    }
  }

  #mustLive(): void {
    if (this.#dead) throw new ApiError('Unreachable', 'this process is dead');
  }
}
