// SPDX-License-Identifier: Apache-2.0
/** What can be made to go wrong at the stand-in of an API server. */
import type { ServerResponse } from 'node:http';

export interface FakeRequest {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly contentType: string;
  readonly body: unknown;
  readonly isWatch: boolean;
}

export type Fault =
  /** Refused, with nothing done. */
  | { readonly status: number; readonly reason?: string; readonly retryAfterS?: number }
  /** Done and answered, but the connection ends after so many bytes of the body. */
  | { readonly cutAfterBytes: number }
  /** Everything is done and answered so much later. */
  | { readonly slowMs: number }
  /** Done, and never answered. */
  | 'hang'
  /** Not done; the connection ends. */
  | 'drop';

export interface Plan {
  readonly when: (request: FakeRequest) => boolean;
  /** How often; for ever if not given. */
  readonly times?: number;
  readonly with: Fault;
}

export class Faults {
  #plans: { readonly plan: Plan; left: number }[] = [];

  /** Returns what takes the plan back. */
  add(plan: Plan): () => void {
    const entry = { plan, left: plan.times ?? Infinity };
    this.#plans.push(entry);
    return () => {
      this.#plans = this.#plans.filter((other) => other !== entry);
    };
  }

  /** The first plan that meets the request is used up by one. */
  take(request: FakeRequest): Fault | null {
    const entry = this.#plans.find(({ plan, left }) => left > 0 && plan.when(request));
    if (entry === undefined) return null;
    entry.left -= 1;
    return entry.plan.with;
  }
}

/** Writes to an answer and ends its connection after so many bytes: within a line, within a character. */
export class Scissors {
  #left: number;

  constructor(
    private readonly answer: ServerResponse,
    bytes = Infinity,
  ) {
    this.#left = bytes;
  }

  write(text: string): void {
    if (this.#left <= 0) return;
    const bytes = Buffer.from(text);
    this.answer.write(bytes.subarray(0, Math.min(bytes.length, this.#left)));
    this.#left -= bytes.length;
    // What was written must leave before the connection ends; destroy() alone would throw it away.
    if (this.#left <= 0) this.answer.socket?.end();
  }

  end(): void {
    if (this.#left > 0) this.answer.end();
  }
}
